package stream

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

func TestStream_SlowIsCutAndNobodyElseWaits(t *testing.T) {
	const events = 1000
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.QueueBytes = 64 << 10
		g := newGate(t, path, opts)
		_, stalled := g.subscribe(t)
		c, st := g.subscribe(t)
		var read sync.WaitGroup
		read.Go(func() {
			if err := c.numbers(0, events); err != nil {
				t.Error(err)
			}
		})
		accepted := 0
		for i := range events {
			event := frame(i, 2000)
			if stalled.Push(event) {
				accepted++
			}
			if !st.Push(event) {
				t.Fatalf("event %d refused to the subscriber that reads", i)
			}
			if err := st.WaitRoom(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		read.Wait()
		if accepted == events {
			t.Error("the stalled subscriber took everything")
		}
		g.expectGone(t, stalled, ReasonSlow)
		if got := g.Stats().Closed; got[ReasonSlow] != 1 || got[ReasonStalled] != 0 {
			t.Errorf("closed %v, want one slow", got)
		}
	})
}

// A slow stream ends with what came before the refused frame, or with less: never with a hole.
func TestStream_SlowLeavesNoHole(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.QueueEvents = 10
		g := newGate(t, path, opts)
		c, st := g.subscribe(t)
		accepted := 0
		for st.Push(frame(accepted, 5000)) {
			accepted++
		}
		for i := range 100 {
			if st.Push(frame(accepted+1+i, 10)) {
				t.Fatal("took a frame after it had refused one")
			}
		}
		received := 0
		for ; ; received++ {
			event, err := c.Next()
			if err != nil {
				break
			}
			if want := frameID(received); event.ID != want {
				t.Fatalf("got event %s, want %s", event.ID, want)
			}
		}
		if received > accepted {
			t.Errorf("received %d events of %d accepted", received, accepted)
		}
		g.expectGone(t, st, ReasonSlow)
	})
}

func TestStream_StalledIsCut(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.Stall = 200 * time.Millisecond
		g := newGate(t, path, opts)
		_, st := g.subscribe(t)
		for i := 0; i < 300 && st.Push(frame(i, 5000)); i++ { // more than the system keeps
		}
		g.expectGone(t, st, ReasonStalled)
	})
}

// A reader that is slow, but reads, is no stalled one.
func TestStream_SlowReaderStays(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		t.Parallel()
		opts := defaults()
		opts.Stall = time.Second
		g := newGate(t, path, opts)
		c, st := g.subscribe(t)
		sent := fill(t, st)
		pause := time.NewTicker(5 * time.Millisecond)
		defer pause.Stop()
		for i := range sent {
			<-pause.C
			c.expectNumbers(t, i, i+1)
		}
		st.Push(frame(sent, 1))
		c.expectNumbers(t, sent, sent+1)
	})
}

func TestStream_EndWritesWhatIsPending(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		c, st := g.subscribe(t)
		sent := fill(t, st)
		st.End(ReasonDrain)
		c.expectNumbers(t, 0, sent)
		if _, err := c.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v after the end, want it broken", err)
		}
		g.expectGone(t, st, ReasonDrain)
	})
}

// What the client has sent and nobody has read must not make the end a reset.
func TestStream_EndAfterPipelinedBytes(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		c := g.request(t, "GET / HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\nGET /more HTTP/1.1\r\n")
		c.next(t)
		st := <-g.opened
		if _, err := c.Write(make([]byte, 20000)); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			st.Push(frame(i, 100))
		}
		st.End(ReasonDrain)
		g.expectGone(t, st, ReasonDrain)
		c.expectNumbers(t, 0, 100)
		if _, err := c.Next(); path == byEngine && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v after the end, want it broken", err)
		}
	})
}

func TestStream_EndIsBoundedByStall(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		t.Parallel()
		opts := defaults()
		opts.Stall = 2 * time.Second
		g := newGate(t, path, opts)
		c, st := g.subscribe(t)
		sent := fill(t, st)
		st.End(ReasonDrain)
		// There is progress, but the end is far.
		var reading sync.WaitGroup
		reading.Go(func() {
			pause := time.NewTicker(100 * time.Millisecond)
			defer pause.Stop()
			for some := make([]byte, 32<<10); ; <-pause.C {
				if _, err := io.ReadFull(c, some); err != nil {
					return
				}
			}
		})
		g.expectGone(t, st, ReasonDrain)
		if got := g.Stats().Delivered; got >= int64(sent) {
			t.Errorf("all %d events were delivered to a reader that takes longer than the stall limit", got)
		}
		_ = c.Close()
		reading.Wait()
	})
}

func TestStream_HangUpDuringWrite(t *testing.T) {
	forPaths(t, func(t *testing.T, path path) {
		g := newGate(t, path, defaults())
		for range 50 {
			c, st := g.subscribe(t)
			var push sync.WaitGroup
			push.Go(func() {
				for i := 0; st.Push(frame(i, 1000)); i++ {
					if st.WaitRoom(t.Context()) != nil {
						break
					}
				}
			})
			c.expectNumbers(t, 0, 20)
			_ = c.Close()
			push.Wait()
			g.expectGone(t, st, ReasonClient)
		}
		if got := g.Stats().Closed[ReasonClient]; got != 50 {
			t.Errorf("closed %v, want 50 gone by themselves", g.Stats().Closed)
		}
	})
}

// Partial writes and full sockets, everywhere, all the time.
func TestStreams_UnderLoadWithStalledReaders(t *testing.T) {
	const readers, stalled, events = 10, 5, 200
	forPaths(t, func(t *testing.T, path path) {
		opts := defaults()
		opts.QueueBytes = 64 << 10
		g := newGate(t, path, opts)
		clients, streams := make([]*client, readers), []opened{}
		for i := range clients {
			var st opened
			clients[i], st = g.subscribe(t)
			streams = append(streams, st)
		}
		for range stalled {
			_, st := g.subscribe(t)
			streams = append(streams, st)
		}
		var read sync.WaitGroup
		for _, c := range clients {
			read.Go(func() {
				if err := c.numbers(0, events); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range events {
			event := frame(i, (i%20)*300)
			for at, st := range streams {
				if !st.Push(event) && at < readers {
					t.Fatalf("event %d refused to reader %d", i, at)
				}
			}
			for _, st := range streams[:readers] {
				if err := st.WaitRoom(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		read.Wait()
		if got := g.Stats(); got.Closed[ReasonSlow] != stalled || got.Open != readers {
			t.Errorf("got %+v, want %d slow and %d open", got, stalled, readers)
		}
	})
}
