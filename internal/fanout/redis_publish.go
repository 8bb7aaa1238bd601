package fanout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// publisher sends the publishes of one partition. Calls that come while its pipelines are on their way share the next one:
// nothing waits for a timer.
type publisher struct {
	redis *Redis
	part  int

	mu      sync.Mutex
	more    *sync.Cond
	queue   []*publishCall
	closed  bool
	running sync.WaitGroup
}

// publishCall is one call of Publish; its ops go out together, in order.
type publishCall struct {
	ops     []Op
	results []Result
	queued  time.Time
	done    chan struct{}
}

const (
	pipelines   = 3   // on their way at once, per partition
	pipelineOps = 512 // in one pipeline, unless one call has more
)

func newPublisher(r *Redis, part int) *publisher {
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

func (p *publisher) publish(ops []Op) []Result {
	call := &publishCall{ops: ops, results: make([]Result, len(ops)), queued: time.Now(), done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		call.fail(fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrNotSent, ErrStopped))
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
		c.results[i] = Result{Err: err}
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

// send runs the calls' ops in one pipeline. Those that Redis did not run for want of the script are sent once more, with it.
func (p *publisher) send(calls []*publishCall) {
	ctx, cancel := context.WithDeadline(context.Background(), calls[0].queued.Add(p.redis.opts.Timeout))
	defer cancel()
	if ctx.Err() != nil {
		for _, call := range calls {
			call.fail(fmt.Errorf("%w: %w: it took too long to get to it", ErrUnavailable, ErrNotSent))
		}
		return
	}
	var todo []*opCall
	for _, call := range calls {
		for i := range call.ops {
			todo = append(todo, &opCall{op: &call.ops[i], result: &call.results[i]})
		}
	}
	if todo = p.exec(ctx, todo); len(todo) == 0 {
		return
	}
	if err := p.redis.loadScripts(ctx, p.part); err != nil {
		for _, o := range todo {
			o.result.Err = fmt.Errorf("%w: %w: load the publish script: %w", ErrUnavailable, ErrNotSent, err)
		}
		return
	}
	for _, o := range p.exec(ctx, todo) {
		o.result.Err = fmt.Errorf("%w: %w: the publish script does not stay loaded", ErrUnavailable, ErrNotSent)
	}
}

// opCall is one op on its way.
type opCall struct {
	op     *Op
	result *Result
}

// exec runs ops in one pipeline and returns those that found no script.
func (p *publisher) exec(ctx context.Context, ops []*opCall) (unscripted []*opCall) {
	sp := &p.redis.spaces[p.part]
	pipe := p.redis.client.Pipeline()
	answers := make([]*redis.Cmd, len(ops))
	for i, o := range ops {
		answers[i] = pipe.Do(ctx, p.redis.scripts.publishArgs(sp, o.op)...)
	}
	_, _ = pipe.Exec(ctx) // every answer has its own error
	for i, o := range ops {
		text, err := answers[i].Text()
		switch {
		case err == nil:
			o.result.ID, o.result.Err = resultOf(text)
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			unscripted = append(unscripted, o)
		default:
			o.result.Err = publishError(err)
		}
	}
	return unscripted
}

// resultOf reads the publish script's answer.
func resultOf(text string) (ID, error) {
	if text == "closed" {
		return ID{}, ErrTopicClosed
	}
	return ParseID(text)
}

// publishError tells a refusal by Redis, or by the network, after which nothing has been done, from an outcome that nobody
// knows.
func publishError(err error) error {
	var refusal redis.Error
	var network *net.OpError
	switch {
	case redis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.As(err, &refusal), errors.As(err, &network) && network.Op == "dial":
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrNotSent, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
