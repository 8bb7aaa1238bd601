package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/sse"
)

const (
	// pageSize and maxPageSize are how many events one answer of a history holds, unasked and at most.
	pageSize    = 100
	maxPageSize = 1000
)

type topicsAnswer struct {
	Topics []activeTopic `json:"topics"`
}

type activeTopic struct {
	Topic       string `json:"topic"`
	Subscribers int    `json:"subscribers"`
}

type topicAnswer struct {
	Topic       string `json:"topic"`
	Subscribers int    `json:"subscribers"`
	Events      int    `json:"events"`
	First       string `json:"first,omitempty"`
	Last        string `json:"last,omitempty"`
	Closed      bool   `json:"closed"`
}

func newTopicAnswer(info fanout.TopicInfo) topicAnswer {
	return topicAnswer{
		Topic:       info.Topic,
		Subscribers: info.Subscribers,
		Events:      info.Events,
		First:       idText(info.First),
		Last:        idText(info.Last),
		Closed:      info.Closed,
	}
}

func idText(id broker.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func (a *API) listTopics(w http.ResponseWriter, r *http.Request) error {
	if err := a.admin(r); err != nil {
		return err
	}
	infos, err := a.hub.Topics(r.Context())
	if err != nil {
		return err
	}
	list := topicsAnswer{Topics: make([]activeTopic, 0, len(infos))}
	for _, info := range infos {
		list.Topics = append(list.Topics, activeTopic{Topic: info.Topic, Subscribers: info.Subscribers})
	}
	answer(w, list)
	return nil
}

func (a *API) showTopic(w http.ResponseWriter, r *http.Request) error {
	topic, err := a.topicToRead(r)
	if err != nil {
		return err
	}
	info, err := a.hub.Topic(r.Context(), topic)
	if err != nil {
		return err
	}
	answer(w, newTopicAnswer(info))
	return nil
}

func (a *API) topicEvents(w http.ResponseWriter, r *http.Request) error {
	topic, err := a.topicToRead(r)
	if err != nil {
		return err
	}
	return a.history(w, r, topic)
}

func (a *API) closeTopic(w http.ResponseWriter, r *http.Request) error {
	if err := a.admin(r); err != nil {
		return err
	}
	topic, err := a.topicInPath(r)
	if err != nil {
		return err
	}
	id, err := a.hub.CloseTopic(r.Context(), topic)
	if err != nil {
		return err
	}
	answer(w, idAnswer{ID: id.String()})
	return nil
}

// topicToRead is the path's topic, if the request may see its events.
func (a *API) topicToRead(r *http.Request) (string, error) {
	who, err := a.identify(r)
	if err != nil {
		return "", err
	}
	topic, err := a.topicInPath(r)
	if err != nil {
		return "", err
	}
	return topic, a.maySubscribe(who, topic)
}

// topicInPath is the path's topic, checked.
func (a *API) topicInPath(r *http.Request) (string, error) {
	topic, err := nameInPath(r, "topic")
	if err != nil {
		return "", err
	}
	if err := checkTopic("topic", topic); err != nil {
		return "", err
	}
	return topic, a.knownTopic(topic)
}

// nameInPath decodes a name in the path, which may hold an encoded slash.
func nameInPath(r *http.Request, param string) (string, error) {
	name, err := url.PathUnescape(r.PathValue(param))
	if err != nil {
		return "", invalid("%s: malformed percent-encoding in the path", param)
	}
	return name, nil
}

type historyAnswer struct {
	Events []historyEvent `json:"events"`
	Next   string         `json:"next"` // for after=, to go on
	More   bool           `json:"more"` // there is more to go on to now
	Gap    bool           `json:"gap"`  // events after the asked-for id are no longer kept
}

type historyEvent struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	sse.Envelope
	Retry int `json:"retry,omitempty"`
}

// history answers with a page of a topic's events, oldest first.
func (a *API) history(w http.ResponseWriter, r *http.Request, topic string) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	var after broker.ID
	if text := query.Get("after"); text != "" {
		// Nothing can come after the end of all time, and Redis refuses to look there.
		if after, err = broker.ParseID(text); err != nil || after.MS == math.MaxUint64 {
			return invalid("after: %s is no event id", shorten(text))
		}
	}
	limit := pageSize
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPageSize {
			return invalid("limit: must be a whole number from 1 to %d", maxPageSize)
		}
	}
	page, err := a.hub.History(r.Context(), topic, after, limit)
	if err != nil {
		return err
	}
	list := historyAnswer{Events: make([]historyEvent, len(page.Events)), Next: page.Next.String(), More: page.More, Gap: page.Gap}
	for i, stored := range page.Events {
		event := &list.Events[i]
		event.ID, event.Event, event.Retry = stored.ID.String(), stored.Event.Type, stored.Event.Retry
		if err := json.Unmarshal([]byte(stored.Event.Data), &event.Envelope); err != nil {
			return fmt.Errorf("read event %s of topic %q: %w", stored.ID, topic, err)
		}
	}
	answer(w, list)
	return nil
}
