package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

func TestStream_DeliversInOrder(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.QueueBytes = 256 << 10
		g := newGate(t, path, opts)
		c, st := g.subscribe(t)
		st.Push(sse.NewPing()) // is not counted
		for i := range 1000 {
			if !st.Push(frame(i, rand.IntN(300))) {
				t.Fatalf("event %d refused", i)
			}
		}
		c.expectNumbers(t, 0, 1000)
		testkit.WaitFor(t, "queue empty", func() bool { return !hasPending(st.Stream) })
		st.Push(frame(1000, 500_000)) // more than the queue's bound, but alone in it
		st.End(ReasonClosed)
		if st.Push(frame(1001, 1)) {
			t.Error("pushed after the end")
		}
		c.expectNumbers(t, 1000, 1001)
		if event, err := c.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("got %+v, %v after the end, want EOF", event, err)
		}
		g.expectGone(t, st, ReasonClosed)
		if got := g.Stats(); got.Delivered != 1001 || got.Open != 0 || got.Writes == 0 || got.Bytes < 500_000 {
			t.Errorf("got %+v, want 1001 delivered", got)
		}
	})
}

// A parser that finds the end of the stream within a block takes it for a failure: tmaxmax/go-sse gives up.
func TestStream_EndsWithAWholeBlock(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		for name, pushed := range map[string][]*sse.Frame{
			"nothing": nil, "an event": {frame(0, 1)}, "a heartbeat": {sse.NewPing()}, "both": {frame(0, 1), sse.NewPing()},
			"a heartbeat, then an event": {sse.NewPing(), frame(0, 1)},
		} {
			t.Run(name, func(t *testing.T) {
				g := newGate(t, path, defaults())
				c := g.request(t, simple)
				st := <-g.opened
				var want []byte
				for _, frame := range pushed {
					st.Push(frame)
					want = append(want, frame.Bytes()...)
				}
				if len(want) > 0 && !bytes.HasSuffix(want, []byte("\n\n")) {
					want = append(want, '\n')
				}
				st.End(ReasonClosed)
				all, err := io.ReadAll(c.body)
				_, got, _ := bytes.Cut(all, []byte("\n\n")) // the first block
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				g.expectGone(t, st, ReasonClosed)
			})
		}
	})
}

// Many clients stop for good at the end of a response: only a stream that is over for good has one.
func TestStream_EndsWholeOnlyWhenItIsOver(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		for reason, want := range map[string]error{
			ReasonClosed: nil, ReasonDrain: io.ErrUnexpectedEOF, ReasonMaxAge: io.ErrUnexpectedEOF, ReasonExpired: io.ErrUnexpectedEOF,
			ReasonCut: io.ErrUnexpectedEOF, ReasonError: io.ErrUnexpectedEOF,
		} {
			t.Run(reason, func(t *testing.T) {
				g := newGate(t, path, defaults())
				c := g.request(t, simple)
				st := <-g.opened
				whole := first
				if reason != ReasonCut { // who is cut off gets nothing more
					st.Push(frame(1, 1))
					whole += string(frame(1, 1).Bytes())
				}
				st.End(reason)
				text, err := io.ReadAll(c.body)
				if string(text) != whole || !errors.Is(err, want) {
					t.Errorf("got %q, %v, want %q, %v", text, err, whole, want)
				}
				g.expectGone(t, st, reason)
			})
		}
		t.Run("closed, then cut while something is pending", func(t *testing.T) {
			g := newGate(t, path, defaults())
			c := g.request(t, simple)
			st := <-g.opened
			for range 1000 { // more than the socket takes
				if !st.Push(frame(1, 2000)) {
					break
				}
			}
			st.End(ReasonClosed)
			st.end(reasonDrain, true)
			if _, err := io.ReadAll(c.body); err == nil {
				t.Error("a stream that was cut looks whole")
			}
			g.expectGone(t, st, ReasonClosed)
		})
	})
}

// HTTP/1.0 knows no end but that of the connection.
func TestStream_EndsInHTTP10(t *testing.T) {
	for _, reason := range []string{ReasonClosed, ReasonDrain} {
		g := newGate(t, byEngine, defaults())
		c := g.request(t, "GET / HTTP/1.0\r\n\r\n")
		st := <-g.opened
		st.Push(sse.NewPing())
		st.End(reason)
		text, err := io.ReadAll(c.body)
		if want := first + ": ping\n\n"; string(text) != want || err != nil || strings.Contains(c.head, "chunked") {
			t.Errorf("%s: got %q, %v, want %q", reason, text, err, want)
		}
		g.expectGone(t, st, reason)
	}
}

func TestStream_AsideIsNotCounted(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		g.params = func() Params { return Params{First: []byte(": not now\nretry: 1\n"), Aside: true, Expiry: time.Now()} }
		c := g.request(t, simple)
		st := <-g.opened
		if text, err := io.ReadAll(c.body); string(text) != ": not now\nretry: 1\n" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %q, %v", text, err)
		}
		<-st.Done()
		if stats := g.Stats(); stats.Open != 0 || stats.Closed[ReasonExpired] != 0 || st.src.left.Load() != 1 {
			t.Errorf("got %+v, left %d times", stats, st.src.left.Load())
		}
	})
}

func hasPending(st *Stream) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.q != nil
}

func TestStream_NoticesThatTheClientGoes(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		c, st := g.subscribe(t)
		_ = c.Close()
		g.expectGone(t, st, ReasonClient)
		if st.Push(frame(0, 1)) {
			t.Error("pushed to a client that has gone")
		}
	})
}

func TestStream_FirstReasonHolds(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		_, st := g.subscribe(t)
		st.End("of some other package")
		st.End(ReasonClosed)
		g.expectGone(t, st, ReasonError)
		if got := g.Stats().Closed[ReasonClosed]; got != 0 {
			t.Errorf("%d closed by the second reason", got)
		}
	})
}

func TestStream_ReplayWaitsForRoom(t *testing.T) {
	const events = 5000
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.QueueEvents, opts.QueueBytes = 64, 64*100
		g := newGate(t, path, opts)
		g.replay = func(r *http.Request, st *Stream) {
			for i := range events {
				if i%16 == 0 {
					if err := st.WaitRoom(r.Context()); err != nil {
						t.Errorf("wait for room at event %d: %v", i, err)
						return
					}
				}
				if !st.Push(frame(i, 50)) {
					t.Errorf("event %d refused", i)
					return
				}
			}
		}
		c, st := g.subscribe(t)
		c.expectNumbers(t, 0, events)
		st.End(ReasonClosed)
		g.expectGone(t, st, ReasonClosed)
	})
}

func TestStream_WaitRoomReturns(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		_, st := g.subscribe(t)
		if err := st.WaitRoom(t.Context()); err != nil {
			t.Errorf("idle stream: %v", err)
		}
		fill(t, st)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := st.WaitRoom(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v of a full queue, want its context's error", err)
		}
		var waiters sync.WaitGroup
		for range 3 {
			waiters.Go(func() {
				if err := st.WaitRoom(context.Background()); !errors.Is(err, ErrEnded) {
					t.Errorf("got %v, want ErrEnded", err)
				}
			})
		}
		testkit.WaitFor(t, "somebody waits", func() bool {
			st.mu.Lock()
			defer st.mu.Unlock()
			return st.q.room != nil
		})
		st.End(ReasonCut)
		waiters.Wait()
	})
}

// fill pushes more than the system keeps for a client that does not read, so that the queue stays more than half full,
// and returns the number of events.
func fill(t testing.TB, st opened) int {
	t.Helper()
	const events = 300
	for i := range events {
		if !st.Push(frame(i, 5000)) {
			t.Fatalf("refused event %d", i)
		}
	}
	return events
}

func TestStream_OutlivesServerTimeouts(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		t.Parallel()
		opts := defaults()
		opts.Heartbeat = 20 * time.Millisecond
		g := newGate(t, path, opts)
		c, st := g.subscribe(t)
		c.Comments = true
		for start := time.Now(); time.Since(start) < serverTimeout*5/4; {
			if got := c.next(t).Comment; got != "ping" {
				t.Fatalf("got %q, want a ping", got)
			}
		}
		st.End(ReasonClosed)
		g.expectGone(t, st, ReasonClosed)
	})
}

func TestStream_Concurrently(t *testing.T) {
	const pushers = 8
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.QueueEvents = 1 << 20
		g := newGate(t, path, opts)
		c, st := g.subscribe(t)
		var all sync.WaitGroup
		for range pushers {
			all.Go(func() {
				for i := range 500 {
					st.Push(frame(i, 5))
				}
				st.Done()
			})
		}
		for range pushers * 500 {
			c.next(t)
		}
		all.Wait()
		var ends sync.WaitGroup
		for range pushers {
			ends.Go(func() { st.End(ReasonDrain) })
		}
		ends.Wait()
		g.expectGone(t, st, ReasonDrain)
	})
}
