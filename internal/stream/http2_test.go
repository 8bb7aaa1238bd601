package stream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"sse-gateway/internal/sse"
)

// subscribeHTTP2 opens a stream over HTTP/2, on a connection that it shares with the client's others.
func (g *gate) subscribeHTTP2(t *testing.T, browser *http.Client) (*sse.Decoder, context.CancelFunc, opened) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.addr, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.ProtoMajor != 2 {
		t.Fatalf("got %s", response.Proto)
	}
	events := sse.NewDecoder(response.Body)
	if event, err := events.Next(); err != nil || event.Type != "ready" {
		t.Fatalf("got %+v, %v, want ready", event, err)
	}
	return events, cancel, <-g.opened
}

func TestStream_HTTP2(t *testing.T) {
	opts := defaults()
	opts.QueueBytes = 1 << 20
	g := newGate(t, byEngine, opts)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	browser := &http.Client{Transport: transport}

	events, hangUp, st := g.subscribeHTTP2(t, browser)
	_, _, stalled := g.subscribeHTTP2(t, browser)
	for i := 0; stalled.Push(frame(i, 50_000)); i++ { // more than the window of a stream
		if i > 1000 {
			t.Fatal("the stream that nobody reads takes everything")
		}
	}
	g.expectGone(t, stalled, ReasonSlow)
	for i := range 1000 {
		st.Push(frame(i, 20))
	}
	for i := range 1000 {
		if event, err := events.Next(); err != nil || event.ID != frameID(i) {
			t.Fatalf("got %+v, %v, want event %d", event, err, i)
		}
	}
	hangUp()
	g.expectGone(t, st, ReasonClient)

	events, _, st = g.subscribeHTTP2(t, browser)
	st.Push(frame(0, 200_000))
	st.End(ReasonDrain)
	if event, err := events.Next(); err != nil || event.ID != "0" {
		t.Fatalf("got %+v, %v, want event 0", event, err)
	}
	if event, err := events.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("got %+v, %v after the end, want it broken", event, err)
	}
	g.expectGone(t, st, ReasonDrain)

	events, _, st = g.subscribeHTTP2(t, browser)
	st.End(ReasonClosed)
	if event, err := events.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %+v, %v after the end, want EOF", event, err)
	}
	g.expectGone(t, st, ReasonClosed)
}
