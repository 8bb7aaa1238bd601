package stream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/sse"
)

// bubble is a set of streams in a synctest bubble, whose clients read everything and keep it.
type bubble struct {
	*Streams
	serving sync.WaitGroup
}

func inBubble(t *testing.T, opts Options, test func(t *testing.T, b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		streams, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		b := &bubble{Streams: streams}
		defer b.serving.Wait()
		defer func() { _ = streams.Close() }()
		test(t, b)
	})
}

// bubbled is a stream with what its client has received.
type bubbled struct {
	*Stream
	*recorder
	src *source
}

// recorder keeps what a client receives.
type recorder struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(p)
}

func (r *recorder) body() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.String()
}

func (b *bubble) open(t *testing.T, p Params) bubbled {
	t.Helper()
	w, src := &recorder{ResponseRecorder: httptest.NewRecorder()}, &source{beat: sse.NewPing()}
	st, err := b.Open(w, httptest.NewRequest(http.MethodGet, "/", nil), src, p)
	if err != nil {
		t.Fatal(err)
	}
	src.stream.Store(st)
	b.serving.Go(func() { _ = st.Serve() })
	return bubbled{st, w, src}
}

// isGone tells whether a stream has ended. It must be asked while everything in the bubble waits.
func (b bubbled) isGone() bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

func TestWheel_BeatsSpreadAndRegular(t *testing.T) {
	const streams, heartbeat = 10000, 15 * time.Second
	opts := defaults()
	opts.Heartbeat = heartbeat
	inBubble(t, opts, func(t *testing.T, b *bubble) {
		before := runtime.NumGoroutine()
		sources := make([]*source, streams)
		for i := range sources {
			sources[i] = b.open(t, Params{}).src
		}
		if got := runtime.NumGoroutine() - before; got > streams {
			t.Errorf("%d goroutines for %d handlers", got, streams)
		}
		beats := func() (total int64) {
			for _, src := range sources {
				total += src.beats.Load()
			}
			return total
		}
		last := beats()
		for second := range 15 {
			time.Sleep(time.Second)
			synctest.Wait()
			now := beats()
			if got := now - last; got < streams/15*7/10 || got > streams/15*13/10 {
				t.Errorf("%d heartbeats in second %d, want about %d", got, second, streams/15)
			}
			last = now
		}
		time.Sleep(3 * heartbeat)
		synctest.Wait()
		for _, src := range sources {
			if got := src.beats.Load(); got < 3 || got > 5 {
				t.Fatalf("%d heartbeats in 4 intervals", got)
			}
		}
	})
}

func TestWheel_NoBeatWhileSomethingIsPending(t *testing.T) {
	opts := defaults()
	opts.Heartbeat = time.Second
	synctest.Test(t, func(t *testing.T) {
		streams, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		src := &source{}
		st, err := streams.Open(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), src, Params{})
		if err != nil {
			t.Fatal(err)
		}
		st.Push(frame(0, 1)) // and nobody serves
		time.Sleep(10 * time.Second)
		if got := src.beats.Load(); got != 0 {
			t.Errorf("%d heartbeats behind a pending event", got)
		}
		go func() { _ = st.Serve() }()
		time.Sleep(10 * time.Second)
		if got := src.beats.Load(); got < 9 {
			t.Errorf("%d heartbeats in 10 s", got)
		}
		_ = streams.Close()
	})
}

func TestWheel_MaxAgeIsSpread(t *testing.T) {
	const streams, age = 2000, 10 * time.Minute
	opts := defaults()
	opts.MaxAge = age
	inBubble(t, opts, func(t *testing.T, b *bubble) {
		for range streams {
			b.open(t, Params{})
		}
		time.Sleep(age*8/10 - time.Second)
		synctest.Wait()
		if got := b.Stats().Open; got != streams {
			t.Errorf("%d streams are left before the least age", got)
		}
		time.Sleep(age*2/10 + time.Second)
		synctest.Wait()
		if got := b.Stats().Open; got < streams*4/10 || got > streams*6/10 {
			t.Errorf("%d streams are left at the age, want about half", got)
		}
		time.Sleep(age*2/10 + time.Second)
		synctest.Wait()
		if got := b.Stats(); got.Open != 0 || got.Closed[ReasonMaxAge] != streams {
			t.Errorf("got %+v, want all closed by age", got)
		}
	})
}

func TestWheel_NoticeAndExpiry(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		now := time.Now()
		notice := sse.NewFrame([]byte("event: notice\ndata: {}\n"), "")
		st := b.open(t, Params{
			First: []byte(first), Expiry: now.Add(time.Hour), NoticeAt: now.Add(50 * time.Minute), Notice: notice,
		})
		early := b.open(t, Params{Expiry: now.Add(-time.Hour)})
		time.Sleep(50*time.Minute - time.Second)
		synctest.Wait()
		if body := st.body(); !strings.HasPrefix(body, first) || strings.Contains(body, "notice") {
			t.Errorf("got %q before the notice", body)
		}
		if !early.isGone() {
			t.Error("a stream that had expired when it was opened is not gone")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if body := st.body(); strings.Count(body, "event: notice") != 1 || st.isGone() {
			t.Errorf("got %q at the notice, gone: %t", body, st.isGone())
		}
		time.Sleep(10*time.Minute - 2*time.Second)
		synctest.Wait()
		if st.isGone() {
			t.Error("gone before its expiry")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := b.Stats().Closed[ReasonExpired]; !st.isGone() || got != 2 {
			t.Errorf("gone: %t, %d expired at the expiry, want 2", st.isGone(), got)
		}
		if body := st.body(); strings.Count(body, "event: notice") != 1 {
			t.Errorf("got %q in the end, want one notice", body)
		}
	})
}

func TestStreams_DrainIsSpread(t *testing.T) {
	const streams, over = 1000, 10 * time.Second
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		for range streams {
			b.open(t, Params{}).Push(frame(0, 1))
		}
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			b.Drain(context.Background(), over)
		}()
		for second := range 10 {
			time.Sleep(over/10 - time.Millisecond)
			synctest.Wait()
			if got, want := b.Stats().Open, streams-(second+1)*streams/10; got < want-50 || got > want+50 {
				t.Errorf("%d streams left after second %d, want about %d", got, second, want)
			}
			late := b.open(t, Params{First: []byte(first)})
			synctest.Wait()
			if !late.isGone() || late.body() != first {
				t.Errorf("opened while draining: gone %t, got %q", late.isGone(), late.body())
			}
			time.Sleep(time.Millisecond)
		}
		<-drained
		if got := b.Stats(); got.Open != 0 || got.Closed[ReasonDrain] != streams+10 || got.Delivered != streams {
			t.Errorf("got %+v, want all drained after their events", got)
		}
	})
}

func TestStreams_DrainGivesUpWithItsContext(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		for range 10 {
			b.open(t, Params{})
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		b.Drain(ctx, time.Hour)
		if got := time.Since(start); got != time.Second {
			t.Errorf("returned after %v", got)
		}
		if got := b.Stats().Open; got != 9 {
			t.Errorf("%d streams left, want all but the first", got)
		}
	})
}

func TestStreams_DrainEndsWithTheLastStream(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		var left []bubbled
		for range 10 {
			left = append(left, b.open(t, Params{}))
		}
		time.AfterFunc(time.Second, func() {
			for _, st := range left {
				st.End(ReasonClient)
			}
		})
		start := time.Now()
		b.Drain(context.Background(), time.Hour)
		if got := time.Since(start); got != time.Second {
			t.Errorf("returned after %v, want it as soon as no stream is left", got)
		}
	})
}

// A stream that was on its way into the wheel when a tick began, or when the process was stopped for a while, has its turn at the
// next one: its slot may have been walked through.
func TestWheel_AStreamThatComesLateHasItsTurnSoon(t *testing.T) {
	w := &wheel{tick: time.Second}
	w.now.Store(700)
	st := &Stream{}
	w.mu.Lock()
	w.linkLocked(st, 661)
	w.mu.Unlock()
	if got := w.due(nil, 700, 701); len(got) != 1 || got[0] != st {
		t.Errorf("at the next tick %d streams have a turn, want the one that came late, which waits for %d", len(got), st.slot.due)
	}
}
