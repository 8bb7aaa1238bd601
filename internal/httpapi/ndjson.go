package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sse-gateway/internal/broker"
)

// expiryLook is how often a publisher's time is compared with the wall clock. A timer would not hear of it being set.
const expiryLook = 500 * time.Millisecond

// publishLines takes NDJSON: one event a line, answered by one line each, for as long as the publisher likes. Whatever
// has come by the time the events before it are published is published together; nothing waits for more to come.
// A line that is wrong has an answer that says so, and the next one is taken.
//
// A publisher that reads no answers before it has sent everything would be stuck when the buffers between are full. With
// errorsOnly it gets only the answers of lines that failed, each with its number, and in the end how many there were.
func (a *API) publishLines(w http.ResponseWriter, r *http.Request, from sender, key string, errorsOnly bool) error {
	place, err := a.lines.Acquire(from.name(), netip.Addr{})
	if err != nil {
		tooMany := a.tooManyRequests(err)
		a.metrics.reject(tooMany, 1)
		return tooMany
	}
	defer place.Release()
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 is so anyway
	if r.Header.Get("Expect") != "" {
		w.WriteHeader(http.StatusContinue) // the head of the answer comes before the body is read
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		return nil // the client has gone: there is nobody to answer
	}
	ctx, cancel := context.WithCancel(r.Context())
	p := &linePublisher{api: a, from: from, key: key, errorsOnly: errorsOnly, ctx: ctx, send: context.WithoutCancel(ctx)}
	times := lineTimes{grace: a.grace, idle: a.opts.PublishIdle}
	reader := newLineReader(unpaced(r.Body, control), control, times, a.opts.MaxBodyBytes, p.parse)
	p.produced = produced{api: a, who: from.who, reader: reader}
	defer p.produced.end()
	var tasks sync.WaitGroup
	tasks.Go(reader.run)
	tasks.Go(func() { a.stopLines(ctx, cancel, reader, from.who.Expires) })
	err = p.serve(w, r, control, reader)
	cancel()
	tasks.Wait()
	if errors.Is(err, errLinesStopped) {
		err = a.stillKnown(r)
	}
	_ = control.SetWriteDeadline(time.Now().Add(a.answerTime))
	switch problemOf(err).Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout:
		_, _ = w.Write(append(appendResult(nil, broker.Result{Err: err}), '\n'))
	}
	if errorsOnly {
		_, _ = fmt.Fprintf(w, "{\"lines\":%d,\"failed\":%d}\n", p.answered, p.failed)
	}
	return nil
}

// stopLines ends the reading when the handler is done, the gateway drains, or the token expires.
func (a *API) stopLines(ctx context.Context, cancel func(), reader *lineReader, expires time.Time) {
	var look <-chan time.Time
	if !expires.IsZero() {
		ticker := time.NewTicker(expiryLook)
		defer ticker.Stop()
		look = ticker.C
	}
	for live := true; live; {
		select {
		case <-ctx.Done():
			live = false
		case <-a.draining:
			live = false
		case <-look:
			live = a.clock().Before(expires)
		}
	}
	reader.stop()
	cancel()
}

// stillKnown tells whether the request's token has expired or been revoked meanwhile.
func (a *API) stillKnown(r *http.Request) error {
	_, err := a.who.Authenticate(r)
	return err
}

// unpaced takes off the pace that is asked of other bodies, with the time of the answer that goes by it: a publisher of
// lines may be silent between two of them.
func unpaced(body io.ReadCloser, control timedConn) io.ReadCloser {
	if paced, ok := body.(*pacedBody); ok {
		_ = control.SetWriteDeadline(time.Time{})
		return paced.ReadCloser
	}
	return body
}

// A linePublisher publishes the lines of one request.
type linePublisher struct {
	api  *API
	from sender
	key  string
	ctx  context.Context //nolint:containedctx // of the request; ends the waiting for the rate
	send context.Context //nolint:containedctx // not ended by the publisher's going away
	out  []byte          // the answers to be written

	errorsOnly       bool
	answered, failed int // lines

	produced produced

	parsed int // lines so far, without those that were blank or too long; owned by the reader
}

// serve publishes and answers batch by batch, until the reader has ended, the token does not hold any more, or nobody
// takes the answers.
func (p *linePublisher) serve(w io.Writer, r *http.Request, control *http.ResponseController, reader *lineReader) error {
	for {
		lines, err := reader.take()
		if err != nil {
			return err
		}
		if err := p.api.stillKnown(r); err != nil {
			return err
		}
		if len(lines) > 0 {
			if err := p.publish(lines); err != nil {
				return err
			}
		}
		p.out = p.produced.appendStops(p.out)
		if len(p.out) == 0 {
			continue
		}
		_ = control.SetWriteDeadline(time.Now().Add(p.api.answerTime))
		if _, err := w.Write(p.out); err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
		_ = control.SetWriteDeadline(time.Time{}) // HTTP/2 would reset a stream whose time is over while there is nothing to write
		p.out = p.out[:0]
	}
}

// parse reads a line; it is called by the reader.
func (p *linePublisher) parse(text []byte) line {
	index := p.parsed
	p.parsed++
	items, array, err := p.api.parse(text)
	switch {
	case err != nil:
		return line{err: err}
	case array:
		return line{err: invalid("line: must be an object, not array")}
	}
	items[0].inheritKey(p.key, true, index)
	return line{item: items[0]}
}

// publish publishes lines, in parts if they make very many events.
func (p *linePublisher) publish(lines []line) error {
	targets, from := 0, 0
	for i := range lines {
		if targets += len(lines[i].item.targets); targets > maxTargets {
			if err := p.publishPart(lines[from : i+1]); err != nil {
				return err
			}
			targets, from = 0, i+1
		}
	}
	return p.publishPart(lines[from:])
}

// publishPart publishes the lines that can be, and appends the answers of all.
func (p *linePublisher) publishPart(lines []line) error {
	items := make([]item, 0, len(lines))
	for _, l := range lines {
		if l.err == nil {
			items = append(items, l.item)
		}
		for _, to := range l.item.targets {
			p.produced.add(to)
		}
	}
	// A publisher of lines is held back, not refused: it would have to send them again.
	if err := p.api.pace(p.ctx, p.from, countTargets(items)); err != nil {
		return err
	}
	results := p.api.publishItems(p.send, p.from, items)
	for _, l := range lines {
		n := len(l.item.targets)
		for i, to := range l.item.targets {
			p.produced.published(to, results[i].Err)
		}
		p.answer(l, results[:n])
		results = results[n:]
	}
	return nil
}

// answer appends the answer of a line.
func (p *linePublisher) answer(l line, results []broker.Result) {
	if l.err != nil {
		p.api.metrics.reject(problemOf(l.err), 1)
		results = []broker.Result{{Err: l.err}}
	}
	p.answered++
	failed := slices.ContainsFunc(results, func(r broker.Result) bool { return r.Err != nil })
	if failed {
		p.failed++
	}
	at := len(p.out)
	switch {
	case p.errorsOnly && !failed:
		return
	case l.item.broadcast:
		p.out = appendResults(p.out, results)
	default:
		p.out = appendResult(p.out, results[0])
	}
	if p.errorsOnly {
		p.out = slices.Insert(p.out, at+1, fmt.Appendf(nil, `"line":%d,`, p.answered)...)
	}
	p.out = append(p.out, '\n')
}
