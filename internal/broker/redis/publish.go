package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sse-gateway/internal/broker"

	goredis "github.com/redis/go-redis/v9"
)

// publisher sends the publishes of one partition. Calls that come while its pipelines are on their way share the next one:
// nothing waits for a timer.
type publisher struct {
	redis *Broker
	part  int

	mu      sync.Mutex
	more    *sync.Cond
	queue   []*publishCall
	closed  bool
	probing bool
	running sync.WaitGroup
	// unguarded is not zero if events were published while nobody looked whether the clock was behind it.
	unguarded broker.ID
}

// publishCall is one call of Publish; its ops go out together, in order.
type publishCall struct {
	ops     []broker.Op
	results []broker.Result
	queued  time.Time
	done    chan struct{}
}

const (
	pipelines   = 3   // on their way at once, per partition
	pipelineOps = 512 // in one pipeline, unless one call has more

	tries    = 4                     // of an op that Redis does not execute, but may soon
	tryPause = 10 * time.Millisecond // after the first of them; each pause is four times as long as the one before
)

func newPublisher(r *Broker, part int) *publisher {
	p := &publisher{redis: r, part: part}
	p.more = sync.NewCond(&p.mu)
	for range pipelines {
		p.running.Go(p.run)
	}
	return p
}

func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.more.Broadcast()
	p.running.Wait()
}

func (p *publisher) publish(ops []broker.Op) []broker.Result {
	call := &publishCall{ops: ops, results: make([]broker.Result, len(ops)), queued: time.Now(), done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		call.fail(fmt.Errorf("%w: %w: %w", broker.ErrUnavailable, broker.ErrNotSent, broker.ErrStopped))
		return call.results
	}
	p.queue = append(p.queue, call)
	p.mu.Unlock()
	p.more.Signal()
	<-call.done
	return call.results
}

func (c *publishCall) fail(err error) {
	for i := range c.results {
		c.results[i] = broker.Result{Err: err}
	}
}

// run sends one pipeline after the other.
func (p *publisher) run() {
	for {
		calls := p.take()
		if calls == nil {
			return
		}
		p.send(calls)
		for _, call := range calls {
			close(call.done)
		}
	}
}

// take waits for calls and takes as many as one pipeline holds; nil when the publisher is closed and empty.
func (p *publisher) take() []*publishCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 {
		if p.closed {
			return nil
		}
		p.more.Wait()
	}
	n, ops := 0, 0
	for n < len(p.queue) && (n == 0 || ops+len(p.queue[n].ops) <= pipelineOps) {
		ops += len(p.queue[n].ops)
		n++
	}
	calls := p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return calls
}

// send runs the calls' ops in one pipeline, in at most one try each that Redis executes.
func (p *publisher) send(calls []*publishCall) {
	ctx, cancel := context.WithDeadline(context.Background(), calls[0].queued.Add(p.redis.opts.Timeout))
	defer cancel()
	if ctx.Err() != nil {
		for _, call := range calls {
			call.fail(fmt.Errorf("%w: %w: it took too long to get to it", broker.ErrUnavailable, broker.ErrNotSent))
		}
		return
	}
	err := p.redis.refusals.note(p.redis.tenancy.ensure(ctx))
	if err == nil {
		err = p.guard(ctx)
	}
	if err != nil {
		for _, call := range calls {
			call.fail(fmt.Errorf("%w: %w: %w", broker.ErrUnavailable, broker.ErrNotSent, err))
		}
		return
	}
	var todo []*opCall
	for _, call := range calls {
		for i := range call.ops {
			todo = append(todo, &opCall{op: &call.ops[i], result: &call.results[i]})
		}
	}
	pause := tryPause
	for try := range tries {
		p.exec(ctx, todo)
		if todo = refusedForNow(todo); len(todo) == 0 {
			return
		}
		if err := p.prepare(ctx, todo, try, pause); err != nil {
			return
		}
		pause *= 4
	}
}

// prepare removes what the ops were refused for, or gives it time to pass.
func (p *publisher) prepare(ctx context.Context, refused []*opCall, try int, pause time.Duration) error {
	for _, o := range refused {
		if p.redis.cluster != nil && goredis.HasErrorPrefix(o.result.Err, "MOVED") {
			p.redis.cluster.ReloadState(ctx)
		}
		if !goredis.HasErrorPrefix(o.result.Err, "NOSCRIPT") {
			continue
		}
		err := p.redis.loadScript(ctx, p.part, try, p.redis.scripts.publish)
		if err != nil {
			err = p.redis.refusals.note(err)
			for _, o := range refused {
				o.result.Err = fmt.Errorf("%w: %w: load the publish script: %w", broker.ErrUnavailable, broker.ErrNotSent, err)
			}
		}
		return err
	}
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// opCall is one op on its way.
type opCall struct {
	op     *broker.Op
	result *broker.Result
}

// exec runs ops in one pipeline.
func (p *publisher) exec(ctx context.Context, ops []*opCall) {
	pipe, err := p.pipeline(ctx)
	if err != nil {
		for _, o := range ops {
			o.result.Err = err
		}
		return
	}
	sp := &p.redis.spaces[p.part]
	answers := make([]*goredis.Cmd, len(ops))
	var highest broker.ID
	for _, o := range ops {
		highest = broker.Later(highest, o.op.Floor)
	}
	floor := highest.String()
	for i, o := range ops {
		answers[i] = addOnce(ctx, pipe, p.redis.scripts.publishArgs(sp, o.op, floor, i == 0)...)
	}
	wait := p.addWait(ctx, pipe)
	_, _ = pipe.Exec(ctx) // every answer has its own error
	doubt := p.guardAfter(ctx, answers, highest)
	if doubt == nil {
		doubt = p.waited(wait)
	}
	for i, o := range ops {
		text, err := answers[i].Text()
		if err == nil && doubt != nil {
			o.result.Err = fmt.Errorf("%w: %w", broker.ErrUnavailable, doubt)
			continue
		}
		if err != nil {
			o.result.Err = p.refused(o.op, err)
			continue
		}
		o.result.ID, o.result.Err = resultOf(o.op, text)
	}
}

// guardAfter makes up for the look at the clock that the first op of a pipeline takes for all, if it was refused and others
// were not.
func (p *publisher) guardAfter(ctx context.Context, answers []*goredis.Cmd, floor broker.ID) error {
	if answers[0].Err() == nil || !slices.ContainsFunc(answers, func(a *goredis.Cmd) bool { return a.Err() == nil }) {
		return nil
	}
	p.mu.Lock()
	p.unguarded = broker.Later(p.unguarded, floor)
	p.mu.Unlock()
	return p.guard(ctx)
}

// guard looks at the clock if that has been left out. Nothing is published until it has come through.
func (p *publisher) guard(ctx context.Context) error {
	p.mu.Lock()
	floor := p.unguarded
	p.mu.Unlock()
	if floor.IsZero() {
		return nil
	}
	sp := &p.redis.spaces[p.part]
	if err := p.redis.runScript(ctx, p.part, p.redis.scripts.guard, []any{"2", sp.clock, sp.born, floor.String()}); err != nil {
		return fmt.Errorf("look whether event %s is lost: %w", floor, p.redis.refusals.note(err))
	}
	p.mu.Lock()
	if p.unguarded == floor {
		p.unguarded = broker.ID{}
	}
	p.mu.Unlock()
	return nil
}

// refused is what an op's error says. If Redis refuses more than this op, the gateway is unready.
func (p *publisher) refused(op *broker.Op, err error) error {
	err = publishError(p.redis.refusals.note(err))
	if errors.Is(err, broker.ErrRefused) && op.Topic != probeTopic {
		p.probe()
	}
	return err
}

// refusedForNow picks the ops that Redis did not execute and may execute soon: it lacks the script, or the keys are on their
// way to another node. An op that a later one of its topic has overtaken stays refused.
func refusedForNow(ops []*opCall) []*opCall {
	first := slices.IndexFunc(ops, (*opCall).isRefusedForNow)
	if first < 0 {
		return nil
	}
	var again []*opCall
	done := make(map[string]bool)
	for _, o := range slices.Backward(ops[first:]) {
		switch {
		case !o.isRefusedForNow():
			done[o.op.Topic] = true
		case !done[o.op.Topic]:
			again = append(again, o)
		}
	}
	slices.Reverse(again)
	return again
}

func (o *opCall) isRefusedForNow() bool {
	for _, word := range []string{"NOSCRIPT", "TRYAGAIN", "MOVED", "ASK"} {
		if goredis.HasErrorPrefix(o.result.Err, word) {
			return true
		}
	}
	return false
}

// resultOf reads the publish script's answer.
func resultOf(op *broker.Op, text string) (broker.ID, error) {
	switch {
	case text == "closed":
		return broker.ID{}, broker.ErrTopicClosed
	case text == "stopped" && op.Stop:
		return broker.ID{}, nil
	case text == "stopped":
		return broker.ID{}, broker.ErrTopicStopped
	}
	return broker.ParseID(text)
}

// publishError tells a refusal by Redis, or by the network, after which nothing has been done, from an outcome that nobody
// knows.
func publishError(err error) error {
	var refusal goredis.Error
	switch {
	case goredis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("%w: %w", broker.ErrFull, err)
	case isHalfDone(err):
	case errors.As(err, &refusal), errors.Is(err, errUnreached), errors.Is(err, goredis.ErrPoolTimeout):
		return fmt.Errorf("%w: %w: %w", broker.ErrUnavailable, broker.ErrNotSent, err)
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
}
