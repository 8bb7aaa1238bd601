package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sse-gateway/internal/sse"
)

// A Subscription is what to follow, and from where.
type Subscription struct {
	Topics []string
	User   string // whose personal events, too; empty: nobody's
	Since  string // where to begin, as GET /subscribe has it; empty: now
	LastID string // the position that has been reached; where to go on, if it is not empty
}

func (s *Subscription) query() url.Values {
	query := url.Values{"topic": s.Topics}
	if s.User != "" {
		query.Set("user", s.User)
	}
	if s.Since != "" {
		query.Set("since", s.Since)
	}
	return query
}

// Follow calls each for every event of the subscription, the gateway's own among them, in order and without a loss that is not
// told by an event "gap": it connects again whenever the stream ends, and goes on where it was. It returns nil when all topics
// have ended; the error of each or of ctx; a *Problem when the gateway refuses; and ErrUnreachable when it was never there. sub
// then says where to go on.
func (c *Client) Follow(ctx context.Context, sub *Subscription, each func(sse.Event) error) error {
	f := follower{client: c, sub: sub, each: each, open: slices.Clone(sub.Topics)}
	for failures := 0; ; failures++ {
		f.welcomed = false
		err := f.stream(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && f.ended:
			return nil
		case errors.As(err, new(stopError)):
			return errors.Unwrap(err)
		case err != nil && (!IsTemporary(err) || (errors.Is(err, ErrUnreachable) && !f.reached)):
			return err
		}
		if f.welcomed {
			failures = 0
		}
		if err != nil {
			c.opts.Notice(fmt.Sprintf("%v; connecting again", err))
		}
		if !f.waitToReconnect(ctx, failures) {
			return context.Cause(ctx)
		}
	}
}

// A stopError is an error of the function that Follow calls.
type stopError struct{ error }

func (e stopError) Unwrap() error { return e.error }

type follower struct {
	client *Client
	sub    *Subscription
	each   func(sse.Event) error

	open     []string      // topics that have not ended
	retry    time.Duration // what the last stream has asked for
	reached  bool          // a gateway has answered at all
	welcomed bool          // the stream under way has begun with ready
	ended    bool          // nothing more will come
}

// stream follows one connection to its end.
func (f *follower) stream(ctx context.Context) error {
	header := http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}}
	if f.sub.LastID != "" {
		header.Set("Last-Event-ID", f.sub.LastID)
	}
	response, err := f.client.do(ctx, http.MethodGet, "/subscribe", f.sub.query(), nil, header)
	if err != nil {
		f.reached = f.reached || errors.As(err, new(*Problem))
		return err
	}
	defer func() { _ = response.Body.Close() }()
	f.reached = true
	if f.ended = response.StatusCode == http.StatusNoContent; f.ended {
		return nil
	}
	if media := response.Header.Get("Content-Type"); media != "text/event-stream" {
		return fmt.Errorf("what answers at %s is no gateway: it sends %q, not an event stream", f.client.base.Redacted(), media)
	}
	events := sse.NewDecoder(response.Body)
	events.Comments = true
	for {
		event, err := events.Next()
		if retry := events.Retry(); retry > 0 {
			f.retry = time.Duration(retry) * time.Millisecond
		}
		if err != nil {
			return f.over()
		}
		if err := f.take(event); err != nil {
			return err
		}
	}
}

// over is the error of a stream that is not to be had any more: none, when all of its topics have ended.
func (f *follower) over() error {
	f.ended = f.sub.User == "" && len(f.open) == 0
	switch {
	case f.ended:
		return nil
	case !f.welcomed:
		return fmt.Errorf("%w: the gateway takes no subscribers now", errCutShort)
	}
	return errCutShort
}

// take passes an event on, and keeps what it says of the stream itself.
func (f *follower) take(event sse.Event) error {
	if event.Type != "" { // neither a comment nor a bare position
		if err := f.each(event); err != nil {
			return stopError{err}
		}
	}
	f.sub.LastID = cmp.Or(event.ID, f.sub.LastID) // a comment before ready has none
	switch event.Type {
	case sse.TypeReady:
		f.welcomed = true
	case sse.TypeClose:
		var closed struct {
			Topic string `json:"topic"`
		}
		if json.Unmarshal([]byte(event.Data), &closed) == nil {
			f.open = slices.DeleteFunc(f.open, func(topic string) bool { return topic == closed.Topic })
		}
	}
	return nil
}

// waitToReconnect waits for as long as the gateway has asked for, and after a second failure in a row longer and longer.
func (f *follower) waitToReconnect(ctx context.Context, failures int) bool {
	if failures < 2 {
		return waitFor(ctx, cmp.Or(f.retry, firstRetry))
	}
	return waitFor(ctx, max(f.retry, backoff(failures)))
}
