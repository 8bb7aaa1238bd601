package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sse-gateway/internal/broker"
)

// The gate is where everything that happens in a run of the model waits for the driver to let it happen.
type modelGate struct {
	mu    sync.Mutex
	calls []*modelCall
}

// A modelCall is one call that waits: for its effects, one after the other, and then for the answer to arrive.
type modelCall struct {
	label   string
	effects []func()
	answer  chan struct{}
	err     error // set before answer is closed
	gone    bool  // the caller has given up; guarded by modelGate.mu
}

var errModel = errors.New("the connection to the model's broker failed")

// do waits for the driver to run the effects and to pass the answer on. A caller that gives up leaves its effects behind: they
// may still happen.
func (g *modelGate) do(ctx context.Context, label string, effects ...func()) error {
	c := &modelCall{label: label, effects: effects, answer: make(chan struct{})}
	g.mu.Lock()
	g.calls = append(g.calls, c)
	g.mu.Unlock()
	select {
	case <-c.answer:
		return c.err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		c.gone = true
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	}
}

// waiting returns the calls in an order that does not depend on the scheduler.
func (g *modelGate) waiting() []*modelCall {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = slices.DeleteFunc(g.calls, func(c *modelCall) bool { return c.gone && len(c.effects) == 0 })
	slices.SortStableFunc(g.calls, func(a, b *modelCall) int { return strings.Compare(a.label, b.label) })
	return slices.Clone(g.calls)
}

func (g *modelGate) abandoned(c *modelCall) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return c.gone
}

// step runs the call's next effect, or passes its answer on and reports that.
func (g *modelGate) step(c *modelCall) (answered bool) {
	if len(c.effects) > 0 {
		effect := c.effects[0]
		c.effects = c.effects[1:]
		effect()
		return false
	}
	g.finish(c, nil)
	return true
}

// finish answers the call, without the effects that it still has.
func (g *modelGate) finish(c *modelCall, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = slices.DeleteFunc(g.calls, func(other *modelCall) bool { return other == c })
	c.err = err
	close(c.answer)
}

// A modelReplica is one replica's Broker.
type modelReplica struct {
	w    *modelWorld
	name string
}

func (r *modelReplica) do(ctx context.Context, part int, what string, effects ...func()) error {
	ctx, cancel := context.WithTimeout(ctx, r.w.timeout)
	defer cancel()
	return r.w.gate.do(ctx, fmt.Sprintf("%s/%d %s", r.name, part, what), effects...)
}

func (r *modelReplica) Partitions() int             { return len(r.w.stores) }
func (r *modelReplica) Retention() broker.Retention { return r.w.keep }
func (r *modelReplica) Replica() string             { return r.name }
func (r *modelReplica) Close() error                { return nil }

func (r *modelReplica) Open(ctx context.Context, part int) (broker.Feed, error) {
	f := &modelFeed{
		w: r.w, replica: r.name, part: part, topics: make(map[string]bool),
		out: make(chan []broker.Message, 1), dead: make(chan struct{}),
	}
	err := r.do(ctx, part, "open", func() { r.w.stores[part].feeds = append(r.w.stores[part].feeds, f) })
	if err != nil {
		f.kill()
		return nil, err
	}
	return f, nil
}

func (r *modelReplica) Publish(_ context.Context, part int, ops []broker.Op) []broker.Result {
	results := make([]broker.Result, len(ops))
	effects := make([]func(), len(ops))
	for i := range ops {
		effects[i] = func() { results[i] = r.w.stores[part].publish(&ops[i]) }
	}
	if err := r.do(context.Background(), part, "publish", effects...); err != nil {
		failed := make([]broker.Result, len(ops))
		for i := range failed {
			failed[i].Err = fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
		}
		return failed
	}
	return results
}

func (r *modelReplica) Mark(ctx context.Context, part int, seq uint64, floor, rebirth broker.ID) error {
	return r.do(ctx, part, fmt.Sprintf("mark %d floor %s rebirth %s", seq, floor, rebirth), func() {
		r.w.stores[part].mark(r.name, seq, floor, rebirth)
	})
}

// Read is not atomic, as a pipeline is not: the last ids come first, then each topic's entries, then what is beyond them.
func (r *modelReplica) Read(ctx context.Context, part int, reads []broker.Read) ([]broker.Tail, error) {
	s, tails := r.w.stores[part], make([]broker.Tail, len(reads))
	effects := []func(){func() {
		for i := range reads {
			t := s.topic(reads[i].Topic)
			tails[i].Last, tails[i].Closed = t.last, t.closed
		}
	}}
	order := make([]int, len(reads)) // whose is not that of a map
	for i := range reads {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(reads[a].Topic, reads[b].Topic) })
	for _, i := range order {
		if reads[i].Limit > 0 {
			effects = append(effects, func() { s.readEntries(&reads[i], &tails[i]) })
		}
		if reads[i].Count {
			effects = append(effects, func() { tails[i].Kept = len(s.topic(reads[i].Topic).entries) })
		}
		if !reads[i].Before.IsZero() {
			effects = append(effects, func() { s.readBeyond(&reads[i], &tails[i]) })
		}
	}
	names := make([]string, len(reads))
	for i, at := range order {
		names[i] = reads[at].Topic + ">" + reads[at].After.String()
	}
	if err := r.do(ctx, part, "read "+strings.Join(names, " "), effects...); err != nil {
		return nil, err
	}
	return tails, nil
}

// The model cuts nobody off.
func (r *modelReplica) Now(context.Context) (time.Time, error) { return time.Time{}, errModel }

func (r *modelReplica) RememberCut(context.Context, string, time.Time, time.Duration) error {
	return errModel
}

func (r *modelReplica) Cuts(context.Context) (map[string]time.Time, error) { return nil, errModel }

func (r *modelReplica) Send(ctx context.Context, to string, payload []byte) (n int, err error) {
	err = r.do(ctx, 0, "send", func() {
		for _, f := range r.w.stores[0].feeds {
			if to == "" || to == f.replica {
				f.send(broker.Message{Kind: broker.MessageControl, Payload: payload})
				n++
			}
		}
	})
	return n, err
}

// A modelFeed is one Pub/Sub connection. The driver owns it, but for out and dead.
type modelFeed struct {
	w        *modelWorld
	replica  string
	part     int
	topics   map[string]bool
	deaf     bool             // what is sent to it is lost without a word
	flight   []broker.Message // sent by the broker, not yet received
	mu       sync.Mutex
	commands []modelCommand // sent by the replica, not yet executed; guarded by mu
	closed   bool           // guarded by mu
	out      chan []broker.Message
	dead     chan struct{} // closed with the connection
}

type modelCommand struct {
	topics    []string
	subscribe bool
}

func (f *modelFeed) hub() int { return int(f.replica[0] - 'A') }

func (f *modelFeed) send(m broker.Message) {
	if !f.deaf && !f.isClosed() {
		f.flight = append(f.flight, m)
	}
}

func (f *modelFeed) command(topics []string, subscribe bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errModel
	}
	topics = slices.Clone(topics)
	slices.Sort(topics)
	f.commands = append(f.commands, modelCommand{topics: topics, subscribe: subscribe})
	return nil
}

func (f *modelFeed) Subscribe(_ context.Context, topics []string) error {
	return f.command(topics, true)
}

func (f *modelFeed) Unsubscribe(_ context.Context, topics []string) error {
	return f.command(topics, false)
}

// execute lets the next command take effect at the broker.
func (f *modelFeed) execute() {
	f.mu.Lock()
	c := f.commands[0]
	f.commands = f.commands[1:]
	f.mu.Unlock()
	if f.deaf {
		return
	}
	for _, topic := range c.topics {
		f.topics[topic] = c.subscribe
		if c.subscribe {
			f.send(broker.Message{Kind: broker.MessageAck, Topic: topic})
		}
	}
}

func (f *modelFeed) pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.commands)
}

func (f *modelFeed) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

func (f *modelFeed) Receive(buf []broker.Message) ([]broker.Message, error) {
	select {
	case messages := <-f.out:
		return append(buf, messages...), nil
	case <-f.dead:
		return nil, errModel
	}
}

func (f *modelFeed) Close() error {
	f.kill()
	return nil
}

// kill ends the connection; what is in flight is lost.
func (f *modelFeed) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.dead)
	}
}
