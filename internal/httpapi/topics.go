package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/limit"
	"sse-gateway/internal/sse"
)

const (
	// pageSize and maxPageSize are how many events one answer of a history holds, unasked and at most.
	pageSize    = 100
	maxPageSize = 1000
)

type topicsAnswer struct {
	Topics  []activeTopic `json:"topics"`
	Next    string        `json:"next"`    // for after=, to go on
	More    bool          `json:"more"`    // there is more to go on to
	Partial bool          `json:"partial"` // a replica did not answer in time
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
	Partial     bool   `json:"partial,omitempty"` // a replica did not answer in time
}

func newTopicAnswer(info fanout.TopicInfo) topicAnswer {
	return topicAnswer{
		Topic:       info.Topic,
		Subscribers: info.Subscribers,
		Events:      info.Events,
		First:       idText(info.First),
		Last:        idText(info.Last),
		Closed:      info.Closed,
		Partial:     info.Partial,
	}
}

func idText(id broker.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func (a *API) listTopics(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.admin(r); err != nil {
		return err
	}
	query, err := queryOf(r, pageParameters())
	if err != nil {
		return err
	}
	most, err := limitOf(query, maxPageSize)
	if err != nil {
		return err
	}
	after := query.Get("after")
	page, err := a.hub.Topics(r.Context(), after, most)
	if err != nil {
		return err
	}
	list := topicsAnswer{Topics: make([]activeTopic, 0, len(page.Topics)), Next: after, More: page.More, Partial: page.Partial}
	for _, info := range page.Topics {
		list.Topics = append(list.Topics, activeTopic{Topic: info.Topic, Subscribers: info.Subscribers})
		list.Next = info.Topic
	}
	answer(w, list)
	return nil
}

func (a *API) showTopic(w http.ResponseWriter, r *http.Request) error {
	_, topic, err := a.topicToRead(r)
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
	who, topic, err := a.topicToRead(r)
	if err != nil {
		return err
	}
	return a.history(w, r, who, topic)
}

// topicToRead is the path's topic, if the request may see its events.
func (a *API) topicToRead(r *http.Request) (auth.Identity, string, error) {
	who, err := a.identify(r)
	if err != nil {
		return who, "", err
	}
	topic, err := a.topicInPath(r)
	if err != nil {
		return who, "", err
	}
	return who, topic, a.maySubscribe(who, topic)
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

type historyEvent struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	sse.Envelope
	Retry int `json:"retry,omitempty"`
}

// history answers with a page of a topic's events, oldest first.
func (a *API) history(w http.ResponseWriter, r *http.Request, who auth.Identity, topic string) error {
	query, err := queryOf(r, pageParameters())
	if err != nil {
		return err
	}
	req := fanout.PageRequest{Topic: topic, Client: a.client(r, who)}
	if text := query.Get("after"); text != "" && text != "0" && text != "-1" { // these are the beginning
		// Nothing can come after the end of all time, and Redis refuses to look there.
		if req.After, err = broker.ParseID(text); err != nil || req.After.MS == math.MaxUint64 {
			return invalid("after: %s is no event id", shorten(text))
		}
	}
	if req.Limit, err = limitOf(query, pageSize); err != nil {
		return err
	}
	page, err := a.hub.History(r.Context(), req)
	if err != nil {
		return err
	}
	defer page.Close()
	answerPage(w, page)
	return nil
}

// limitOf reads how much a page may hold; unasked is what it may without being asked.
func limitOf(query url.Values, unasked int) (int, error) {
	if !query.Has("limit") {
		return unasked, nil
	}
	n, err := strconv.ParseUint(query.Get("limit"), 10, 32)
	if err != nil || n < 1 || n > maxPageSize {
		return 0, invalid("limit: must be a whole number from 1 to %d", maxPageSize)
	}
	return int(n), nil
}

// answerPage writes a page event by event, so that nothing of it is held a second time.
func answerPage(w http.ResponseWriter, page *fanout.Page) {
	jsonHeaders(w, "application/json")
	var piece bytes.Buffer
	piece.WriteString(`{"events":[`)
	for i, stored := range page.Events {
		if i > 0 {
			piece.WriteByte(',')
		}
		if err := appendEvent(&piece, stored); err != nil {
			panic(err) // observe logs it, and sees to it that half an answer does not look like a whole one
		}
		if _, err := w.Write(piece.Bytes()); err != nil {
			return // the client has gone
		}
		piece.Reset()
	}
	fmt.Fprintf(&piece, `],"next":%q,"more":%t,"gap":%t}`+"\n", page.Next, page.More, page.Gap)
	_, _ = w.Write(piece.Bytes()) // likewise
}

// appendEvent encodes an event of the history.
func appendEvent(dst *bytes.Buffer, stored fanout.StoredEvent) error {
	event, err := stored.Event()
	if err != nil {
		return err
	}
	entry := historyEvent{ID: stored.ID.String(), Event: event.Type, Retry: event.Retry}
	if err := json.Unmarshal([]byte(event.Data), &entry.Envelope); err != nil {
		return fmt.Errorf("read event %s: %w", stored.ID, err)
	}
	if err := encodeJSON(dst, entry); err != nil {
		return fmt.Errorf("encode event %s: %w", stored.ID, err)
	}
	dst.Truncate(dst.Len() - 1) // the encoder ends a line
	return nil
}

// client is whose turn it is when histories are read: the token's subject, or the address without one.
func (a *API) client(r *http.Request, who auth.Identity) string {
	if !who.Anonymous() && who.Subject != "" {
		return who.Subject
	}
	return limit.Network(limit.ClientIP(r, a.opts.TrustedProxies)).String()
}
