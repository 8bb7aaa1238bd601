package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// once is a command that go-redis sends again only where Redis says that it was not executed: to the node that a MOVED or an
// ASK names. Its cluster client sends all others again, up to MaxRedirects times, when their answer was lost, and with one
// command the whole pipeline.
type once struct{ *goredis.Cmd }

// NoRetry is true.
func (once) NoRetry() bool { return true }

// do executes one command, at most once.
func (r *Broker) do(ctx context.Context, args ...any) *goredis.Cmd {
	cmd := goredis.NewCmd(ctx, args...)
	_ = r.client.Process(ctx, once{cmd}) // the command has the error
	return cmd
}

// addOnce adds a command to a pipeline, to be executed at most once.
func addOnce(ctx context.Context, pipe goredis.Pipeliner, args ...any) *goredis.Cmd {
	cmd := goredis.NewCmd(ctx, args...)
	_ = pipe.Process(ctx, once{cmd}) // it is only put in the queue
	return cmd
}

// runScript runs a script of a partition. args begin with the number of keys.
func (r *Broker) runScript(ctx context.Context, part int, script *goredis.Script, args []any) error {
	_, err := r.answerScript(ctx, part, script, append([]any{"EVALSHA", script.Hash()}, args...))
	return err
}

// answerScript runs a script of a partition, which it loads first if Redis does not have it, and returns its answer.
func (r *Broker) answerScript(ctx context.Context, part int, script *goredis.Script, command []any) (any, error) {
	answer, err := r.do(ctx, command...).Result()
	for try := 0; try < 2 && goredis.HasErrorPrefix(err, "NOSCRIPT"); try++ {
		if err = r.loadScript(ctx, part, try, script); err == nil {
			answer, err = r.do(ctx, command...).Result()
		}
	}
	return answer, err
}

// loadScript loads a script where a partition lives. If that has not helped, the partition is on its way to another node of
// the cluster: then on all of them.
func (r *Broker) loadScript(ctx context.Context, part, try int, script *goredis.Script) error {
	if r.cluster == nil {
		return script.Load(ctx, r.client).Err()
	}
	if try > 0 {
		return r.cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
			return script.Load(ctx, node).Err()
		})
	}
	node, err := r.cluster.MasterForKey(ctx, r.spaces[part].clock)
	if err != nil {
		return fmt.Errorf("find the node of partition %d: %w", part, err)
	}
	return script.Load(ctx, node).Err()
}
