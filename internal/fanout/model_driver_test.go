package fanout

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
)

// wait lets all goroutines go on until each waits for the driver or for time to pass, and looks at the streams.
func (w *modelWorld) wait() {
	synctest.Wait()
	for {
		settled := false
		for _, c := range w.clients {
			if c.session != nil {
				c.session.stop()
			}
			if s := c.session; s != nil && s.sink.ended() {
				c.owed = slices.DeleteFunc(c.owed, func(d modelDebt) bool { return d.mute == s })
				w.log("%s's stream has ended: %s", c.name, s.sink.reason)
				s.settle()
				settled = true
			}
		}
		if !settled {
			return
		}
		synctest.Wait()
	}
}

func (w *modelWorld) sleep(d time.Duration) {
	time.Sleep(d)
	w.wait()
}

// step lets one thing happen.
func (w *modelWorld) step() {
	w.wait()
	if choices := w.pending(); len(choices) > 0 && w.rng.IntN(5) < 3 {
		choices[w.rng.IntN(len(choices))]()
	} else {
		w.act()
	}
	w.wait()
	w.checkOrder()
}

// pending returns what may happen next by itself.
func (w *modelWorld) pending() []func() {
	var choices []func()
	for _, call := range w.gate.waiting() {
		choices = append(choices, func() { w.advance(call) })
	}
	for _, f := range w.feeds() {
		if f.pending() > 0 {
			choices = append(choices, func() {
				w.log("%s/%d executes a command", f.replica, f.part)
				f.execute()
			})
		}
		if len(f.flight) > 0 && len(f.out) == 0 {
			choices = append(choices, func() { w.deliver(f, 1+w.rng.IntN(len(f.flight))) })
		}
	}
	for _, c := range w.clients {
		if c.session != nil && !c.stalled && c.session.sink.pending() > 0 {
			choices = append(choices, func() { c.session.drain(1 + w.rng.IntN(4)) })
		}
	}
	return choices
}

// feeds returns the connections that are open.
func (w *modelWorld) feeds() []*modelFeed {
	var feeds []*modelFeed
	for _, s := range w.stores {
		s.feeds = slices.DeleteFunc(s.feeds, (*modelFeed).isClosed)
		feeds = append(feeds, s.feeds...)
	}
	return feeds
}

// advance takes a call one step on; some fail instead, before or after their effects.
func (w *modelWorld) advance(c *modelCall) {
	gone := w.gate.abandoned(c)
	switch {
	case gone && w.rng.IntN(2) == 0:
		w.log("%s never happens", c.label)
		c.effects = nil
	case !gone && w.rng.IntN(40) == 0:
		w.log("%s fails", c.label)
		w.gate.finish(c, errModel)
	default:
		w.log("%s", c.label)
		if answered := w.gate.step(c); !answered && !gone && len(c.effects) == 0 && w.rng.IntN(3) > 0 {
			w.gate.step(c)
		}
	}
}

func (w *modelWorld) deliver(f *modelFeed, n int) {
	messages := f.flight[:n:n]
	f.flight = f.flight[n:]
	w.log("%s/%d receives %d messages, to %s", f.replica, f.part, n, describe(messages[n-1]))
	f.out <- messages
}

func describe(m broker.Message) string {
	return [...]string{
		fmt.Sprintf("event %s %s prev %s", m.Topic, m.Entry.ID, m.Entry.Prev), "ack " + m.Topic,
		fmt.Sprintf("mark %d head %s born %s", m.Mark.Seq, m.Mark.Head, m.Mark.Born), "birth " + m.Mark.Born.String(), "control",
	}[m.Kind]
}

// calm lets everything happen that waits, without faults, until nothing does.
func (w *modelWorld) calm() {
	for range 20000 {
		w.wait()
		busy := false
		for _, call := range w.gate.waiting() {
			w.log("%s", call.label)
			w.gate.step(call)
			busy = true
			w.wait()
		}
		for _, f := range w.feeds() {
			for f.pending() > 0 {
				f.execute()
				busy = true
			}
			if len(f.flight) > 0 && len(f.out) == 0 && !f.isClosed() {
				w.deliver(f, len(f.flight))
				busy = true
				w.wait()
			}
		}
		for _, c := range w.clients {
			if c.session != nil && !c.stalled && c.session.sink.pending() > 0 {
				c.session.drain(1000)
				busy = true
				w.wait()
			}
		}
		if !busy || w.failure != "" {
			return
		}
	}
	w.fail("it does not come to rest")
}

// finishAll makes every call fail.
func (w *modelWorld) finishAll(err error) {
	synctest.Wait()
	for _, call := range w.gate.waiting() {
		w.gate.finish(call, err)
	}
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}
