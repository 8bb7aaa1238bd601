package httpapi

import (
	"net/http"
	"net/url"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
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
	most, err := countOf(query, "limit", maxPageSize)
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
