package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"sse-gateway/internal/fanout"
)

// maxLast bounds the events that a close may bring: they are published in one step, which keeps others waiting.
const maxLast = 100

// closeTopic ends a topic. Its last events may come with the close, so that no publisher dies between them.
func (a *API) closeTopic(w http.ResponseWriter, r *http.Request) error {
	who, err := a.admin(r)
	if err != nil {
		return err
	}
	topic, err := a.topicInPath(r)
	if err != nil {
		return err
	}
	if err := checkEncoding(w, r); err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	items, err := parseLast(body, a.opts.MaxEventBytes)
	if err != nil {
		return err
	}
	last := make([]fanout.Publication, len(items))
	for i, it := range items {
		last[i] = fanout.Publication{Topic: topic, Type: it.eventType, Retry: it.retry, Data: it.data, From: who.Subject}
	}
	id, err := a.hub.CloseTopic(context.WithoutCancel(r.Context()), topic, last...)
	if err != nil {
		return err
	}
	answer(w, idAnswer{ID: id.String()})
	return nil
}

// parseLast reads the body of a close: nothing, the topic's last event, or an array of them.
func parseLast(body []byte, maxEvent int) ([]item, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	value, err := compact(body)
	if err != nil {
		return nil, err
	}
	w := &walker{json: value}
	switch w.kind() {
	case "object":
		one, err := parseLastItem(w, maxEvent)
		return []item{one}, err
	case "array":
		return parseLastItems(w, maxEvent)
	}
	return nil, invalid("body: must be empty, an object or an array of objects, not %s", w.kind())
}

func parseLastItems(w *walker, maxEvent int) ([]item, error) {
	var items []item
	err := w.each(func(_ []byte, index int) error {
		place := "item " + strconv.Itoa(index)
		if index >= maxLast {
			return tooLarge("%s: more than %d events with a close", place, maxLast)
		}
		if kind := w.kind(); kind != "object" {
			return invalid("%s: must be an object, not %s", place, kind)
		}
		next, err := parseLastItem(w, maxEvent)
		if err != nil {
			return problemOf(err).in(place)
		}
		items = append(items, next)
		return nil
	})
	return items, err
}

// parseLastItem reads an event whose topic is known already. A topic is closed once, which makes a repeated close safe without
// a key.
func parseLastItem(w *walker, maxEvent int) (item, error) {
	it, where, err := parseFields(w, maxEvent)
	switch {
	case err != nil:
		return item{}, err
	case where != "":
		return item{}, invalid("%s: the path says already which topic is closed", where)
	case it.key != "":
		return item{}, invalid("key: a close needs none; repeat it as it is")
	case it.data == nil:
		return item{}, invalid("data: missing")
	}
	return it, nil
}
