package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sse-gateway/internal/broker"

	goredis "github.com/redis/go-redis/v9"
)

// errTooFewReplicas: the events are in Redis, and may be lost with the primary.
var errTooFewReplicas = errors.New("too few replicas have the event")

// pipeline returns a pipeline all of whose commands go over one connection, if replicas are to be waited for: a redirected
// command would not be among those that WAIT is about.
func (p *publisher) pipeline(ctx context.Context) (goredis.Pipeliner, error) {
	r := p.redis
	if r.cluster == nil || r.opts.Replicas == 0 {
		return r.client.Pipeline(), nil
	}
	node, err := r.cluster.MasterForKey(ctx, r.spaces[p.part].clock)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: find the node of partition %d: %w", broker.ErrUnavailable, broker.ErrNotSent, p.part, err)
	}
	return node.Pipeline(), nil
}

// addWait has Redis wait, for most of the time that is left, until replicas have what was written over this connection, and
// what was there before: a key of idempotency may be answered with an event that another connection has written, so there
// is always a write before it. The answer is nil if no replica is to be waited for.
func (p *publisher) addWait(ctx context.Context, pipe goredis.Pipeliner) *goredis.Cmd {
	if p.redis.opts.Replicas == 0 {
		return nil
	}
	patience := p.redis.opts.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		patience = max(time.Until(deadline)*3/4, time.Millisecond) // 0 would be for ever
	}
	addOnce(ctx, pipe, "SET", p.redis.spaces[p.part].fence(), "", "PX", time.Minute.Milliseconds())
	return addOnce(ctx, pipe, "WAIT", p.redis.opts.Replicas, max(patience.Milliseconds(), 1))
}

// waited reads the answer of WAIT.
func (p *publisher) waited(wait *goredis.Cmd) error {
	if wait == nil {
		return nil
	}
	n, err := wait.Int()
	if err != nil {
		return fmt.Errorf("wait for replicas: %w", p.redis.refusals.note(err))
	}
	if n < p.redis.opts.Replicas {
		return fmt.Errorf("%w: %d of %d", errTooFewReplicas, n, p.redis.opts.Replicas)
	}
	return nil
}
