package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
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

type historyEvent struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	sse.Envelope
	Retry int `json:"retry,omitempty"`
}

// history answers with a page of a topic's events, oldest first.
func (a *API) history(w http.ResponseWriter, r *http.Request, who auth.Identity, topic string) error {
	query, err := queryOf(r, historyParameters())
	if err != nil {
		return err
	}
	req, err := pageRequest(query)
	if err != nil {
		return err
	}
	req.Topic, req.Client = topic, a.client(r, who)
	page, err := a.hub.History(r.Context(), req)
	if errors.Is(err, fanout.ErrCursor) {
		return invalid("until: %s is no position of a stream or a page of this gateway", shorten(req.Until))
	}
	if err != nil {
		return err
	}
	defer page.Close()
	answerPage(w, page)
	return nil
}

// pageRequest reads which events a page is to hold.
func pageRequest(query url.Values) (req fanout.PageRequest, err error) {
	if err := compatible(query); err != nil {
		return req, err
	}
	req.Until = query.Get("until")
	req.Back = query.Has("last") || query.Has("before") || query.Has("until")
	if text := query.Get("after"); text != "" && text != "0" && text != "-1" { // these are the beginning
		if req.After, err = eventID("after", text); err != nil {
			return req, err
		}
	}
	if query.Has("before") {
		if req.Before, err = eventID("before", query.Get("before")); err != nil {
			return req, err
		}
	}
	if query.Has("until") && req.Until == "" {
		return req, invalid("until: must be the position of a stream or a page, as the id of ready and the cursor of a page are")
	}
	count := "limit"
	if query.Has("last") {
		count = "last"
	}
	req.Limit, err = countOf(query, count, pageSize)
	return req, err
}

// compatible refuses parameters that say different things about which events are meant.
func compatible(query url.Values) error {
	for _, pair := range [][2]string{{"after", "last"}, {"after", "before"}, {"after", "until"}, {"before", "until"}, {"last", "limit"}} {
		if query.Has(pair[0]) && query.Has(pair[1]) {
			return invalid("%s: cannot be given together with %s", pair[0], pair[1])
		}
	}
	return nil
}

// eventID reads the id of an event. Nothing can come after the end of all time, nor before its beginning, and Redis refuses
// to look there.
func eventID(parameter, text string) (broker.ID, error) {
	id, err := broker.ParseID(text)
	if err != nil || id.MS == math.MaxUint64 || (parameter == "before" && id.IsBeginning()) {
		return id, invalid("%s: %s is no event id", parameter, shorten(text))
	}
	return id, nil
}

// countOf reads how much a page may hold; unasked is what it may without being asked.
func countOf(query url.Values, parameter string, unasked int) (int, error) {
	if !query.Has(parameter) {
		return unasked, nil
	}
	n, err := strconv.ParseUint(query.Get(parameter), 10, 32)
	if err != nil || n < 1 || n > maxPageSize {
		return 0, invalid("%s: must be a whole number from 1 to %d", parameter, maxPageSize)
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
	fmt.Fprintf(&piece, `],"next":%q,"cursor":%q,"more":%t,"gap":%t}`+"\n", page.Next, page.Cursor, page.More, page.Gap)
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
