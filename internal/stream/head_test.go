package stream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A withheld response is one over HTTP/2 whose client gives no window: nothing can be written until it does.
type withheld struct {
	header http.Header

	mu       sync.Mutex
	changed  chan struct{} // closed when open or deadline has changed
	open     bool
	deadline time.Time
	written  string
}

func newWithheld() *withheld { return &withheld{header: http.Header{}, changed: make(chan struct{})} }

func (w *withheld) Header() http.Header { return w.header }
func (w *withheld) WriteHeader(int)     {}
func (w *withheld) FlushError() error   { return nil }

func (w *withheld) SetWriteDeadline(t time.Time) error {
	w.set(func() { w.deadline = t })
	return nil
}

func (w *withheld) giveWindow() { w.set(func() { w.open = true }) }

func (w *withheld) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *withheld) Write(p []byte) (int, error) {
	for {
		w.mu.Lock()
		late := !w.deadline.IsZero() && !time.Now().Before(w.deadline)
		if !late && w.open {
			w.written += string(p)
		}
		open, changed := w.open, w.changed
		var due <-chan time.Time
		if !w.deadline.IsZero() {
			due = time.After(time.Until(w.deadline))
		}
		w.mu.Unlock()
		switch {
		case late:
			return 0, os.ErrDeadlineExceeded
		case open:
			return len(p), nil
		}
		select {
		case <-changed:
		case <-due:
		}
	}
}

func (w *withheld) body() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// openWithheld opens a stream whose head cannot be written, and serves it as a handler does.
func (b *bubble) openWithheld(t *testing.T, p Params) (*withheld, *source, <-chan *Stream) {
	t.Helper()
	w, src, opened := newWithheld(), &source{}, make(chan *Stream, 1)
	p.First = []byte(first)
	b.serving.Go(func() {
		st, err := b.Open(w, httptest.NewRequest(http.MethodGet, "/", nil), src, p)
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		opened <- st
		st.Push(frame(0, 1)) // what has come meanwhile
		_ = st.Serve()
	})
	synctest.Wait()
	return w, src, opened
}

// A client that takes not even the head has a stream all the same: it is counted, it ends by all that ends streams, and
// after that it is not given anything.
func TestStreams_HeadsThatCannotBeWritten(t *testing.T) {
	opts := defaults()
	opts.MaxAge, opts.Stall = 10*time.Minute, 3*time.Hour
	for reason, end := range map[string]func(b *bubble) time.Duration{
		ReasonExpired: func(*bubble) time.Duration { return time.Minute },
		ReasonMaxAge:  func(*bubble) time.Duration { return 12 * time.Minute },
		ReasonDrain: func(b *bubble) time.Duration {
			b.Drain(context.Background(), 0) // waits for the stream
			return 0
		},
	} {
		t.Run(reason, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, b *bubble) {
				p := Params{}
				if reason == ReasonExpired {
					p.Expiry = time.Now().Add(time.Minute)
				}
				w, src, opened := b.openWithheld(t, p)
				if got := b.Stats().Open; got != 1 {
					t.Errorf("%d streams are counted while the head is withheld", got)
				}
				began := time.Now()
				time.Sleep(end(b))
				synctest.Wait()
				if took := time.Since(began); took > 13*time.Minute {
					t.Errorf("it ended after %s", took)
				}
				w.giveWindow()
				synctest.Wait()
				if got := b.Stats(); got.Open != 0 || got.Closed[reason] != 1 || src.left.Load() != 1 {
					t.Errorf("got %+v, left %d times, want one closed as %s", got, src.left.Load(), reason)
				}
				if len(opened) != 1 || w.body() != "" {
					t.Errorf("the client got %q after the end", w.body())
				}
			})
		})
	}
}

func TestStreams_HeadsThatAreWrittenLate(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		w, src, opened := b.openWithheld(t, Params{})
		time.Sleep(10 * time.Second)
		w.giveWindow()
		synctest.Wait()
		if want := first + string(frame(0, 1).Bytes()); w.body() != want || src.left.Load() != 0 {
			t.Errorf("got %q, want %q", w.body(), want)
		}
		(<-opened).End(ReasonClosed)
	})
}

func TestStreams_HeadsThatAreNeverTakenStall(t *testing.T) {
	opts := defaults()
	opts.Stall = 30 * time.Second
	inBubble(t, opts, func(t *testing.T, b *bubble) {
		w, _, _ := b.openWithheld(t, Params{})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := b.Stats(); got.Closed[ReasonStalled] != 1 || w.body() != "" {
			t.Errorf("got %+v and %q, want it stalled", got, w.body())
		}
	})
}

// What is pending at the end of a right is not handed over after it: a client must not open its window then.
func TestStream_NothingIsWrittenAfterTheEndOfARight(t *testing.T) {
	opts := defaults()
	opts.Stall = time.Hour
	for reason, end := range map[string]func(st *Stream){
		ReasonCut:     func(st *Stream) { st.End(ReasonCut) },
		ReasonExpired: func(*Stream) {},
	} {
		t.Run(reason, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, b *bubble) {
				w, _, opened := b.openWithheld(t, Params{Expiry: time.Now().Add(time.Minute), Deadline: time.Now().Add(65 * time.Second)})
				w.giveWindow()
				synctest.Wait()
				st := <-opened
				before := w.body()
				w.set(func() { w.open = false })
				st.Push(frame(1, 1))
				time.Sleep(time.Second)
				end(st)
				time.Sleep(66 * time.Second)
				w.giveWindow()
				synctest.Wait()
				if got := b.Stats().Closed[reason]; got != 1 || w.body() != before {
					t.Errorf("%d closed as %s; the client got %q", got, reason, w.body()[len(before):])
				}
			})
		})
	}
}

// Who is about to be answered when the replica begins to drain, or stops, is answered still. But nothing is said after the end of a right.
func TestStreams_HeadsThatAreDrained(t *testing.T) {
	opts := defaults()
	opts.Heartbeat, opts.Stall = time.Hour, time.Hour
	for name, test := range map[string]struct {
		end  func(b *bubble)
		want string
	}{
		"drained": {func(b *bubble) { b.Drain(context.Background(), 0) }, first},
		"closed":  {func(b *bubble) { _ = b.Close() }, first},
		"drained and closed": {func(b *bubble) {
			b.serving.Go(func() { b.Drain(context.Background(), 0) })
			synctest.Wait()
			_ = b.Close()
		}, first},
		"drained and expired": {func(b *bubble) { b.Drain(context.Background(), 0) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, b *bubble) {
				p := Params{}
				if test.want == "" {
					p.Expiry, p.Deadline = time.Now().Add(headTime/4), time.Now().Add(headTime/4)
				}
				w, _, _ := b.openWithheld(t, p)
				b.serving.Go(func() { test.end(b) })
				time.Sleep(headTime / 2)
				w.giveWindow()
				synctest.Wait()
				if w.body() != test.want || b.Stats().Open != 0 {
					t.Errorf("got %q, want %q, and %d streams are left", w.body(), test.want, b.Stats().Open)
				}
			})
		})
	}
	for name, end := range map[string]func(b *bubble){
		"drained": func(b *bubble) { b.Drain(context.Background(), 0) },
		"closed":  func(b *bubble) { _ = b.Close() },
	} {
		t.Run(name+", and not waited for", func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, b *bubble) {
				w, _, _ := b.openWithheld(t, Params{})
				began := time.Now()
				end(b)
				if took := time.Since(began); took > headTime+2*maxTick || w.body() != "" {
					t.Errorf("it took %v, and the client got %q", took, w.body())
				}
			})
		})
	}
}

// Who comes while the replica drains is told so: its head is not cut off, though waited for only a little.
func TestStreams_HeadsWhileDraining(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		b.Drain(context.Background(), 0)
		w, _, _ := b.openWithheld(t, Params{})
		time.Sleep(headTime / 2)
		w.giveWindow()
		synctest.Wait()
		if w.body() != first || b.Stats().Open != 0 {
			t.Errorf("got %q, want %q, and %d streams are left", w.body(), first, b.Stats().Open)
		}
		_, _, opened := b.openWithheld(t, Params{})
		time.Sleep(2 * headTime)
		synctest.Wait()
		if len(opened) != 1 || b.Stats().Open != 0 {
			t.Errorf("%d streams are left", b.Stats().Open)
		}
	})
}
