package redis

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
)

// formatVersion is that of the keys, the channels and the scripts. Gateways of different versions cannot share them.
//
// 2: a topic's last id may stand behind a stop, which those of version 1 took for a lost one.
const formatVersion = 2

// recheck is how often a running gateway looks whether the store is still its own: it may have been emptied since, and taken.
const recheck = 5 * time.Second

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$`)

var errPrefix = errors.New("is not 1 to 64 letters, digits and characters of _.:- that begin with a letter or digit")

// CheckPrefix tells whether keys and channels may begin with prefix. Its error does not repeat it: it may be a secret that was
// given in the wrong place.
func CheckPrefix(prefix string) error {
	if !prefixForm.MatchString(prefix) {
		return errPrefix
	}
	return nil
}

// A tenancy is the right to use the keys and channels of a prefix. All gateways that share them must have the same charter;
// the first one writes it down, under a key that does not depend on the number of partitions. It never lapses: the
// positions of clients who are away depend on it.
type tenancy struct {
	redis   *Broker
	key     string
	charter string
	held    atomic.Bool  // the store had the charter when it was last looked at
	looked  atomic.Int64 // when that was, Unix ns
	fits    atomic.Bool  // Redis has been seen to let the gateway do what it does

	stop    context.CancelFunc
	stopped context.Context //nolint:containedctx // ends the looks of a broker that is closed
	looking sync.WaitGroup
	mu      sync.Mutex // guards looking against close
}

func newTenancy(r *Broker) *tenancy {
	t := &tenancy{redis: r, key: r.opts.Prefix + ":charter", charter: fmt.Sprintf("format %d, partitions %d, last ids kept %s",
		formatVersion, r.opts.Partitions, r.opts.Retention.LastID)}
	t.stopped, t.stop = context.WithCancel(context.Background())
	return t
}

func (t *tenancy) close() {
	t.mu.Lock()
	t.stop()
	t.mu.Unlock()
	t.looking.Wait()
}

// check looks at the store. A full one does not let the charter be written down, nor anything else.
func (t *tenancy) check(ctx context.Context) error {
	found, err := t.redis.do(ctx, "GET", t.key).Text()
	if errors.Is(err, goredis.Nil) {
		found, err = t.redis.do(ctx, "SET", t.key, t.charter, "NX", "GET").Text()
	}
	switch {
	case errors.Is(err, goredis.Nil), err == nil && found == t.charter:
		if !t.fits.Load() {
			if err := t.redis.fit(ctx); err != nil {
				return err
			}
			if t.fits.CompareAndSwap(false, true) {
				t.redis.introduce(ctx)
			}
		}
		t.looked.Store(time.Now().UnixNano())
		t.held.Store(true)
		return nil
	case err == nil:
		t.held.Store(false)
		return fmt.Errorf("%w: keys that begin with %q belong to gateways of %q, this one is of %q: give all of them the same version, "+
			"GATEWAY_PARTITIONS and GATEWAY_HISTORY_TTL, or this one another GATEWAY_REDIS_PREFIX", broker.ErrForeign, t.redis.opts.Prefix, found, t.charter)
	case goredis.HasErrorPrefix(err, "OOM"):
		return nil
	}
	return fmt.Errorf("ask whose the keys are that begin with %q: %w", t.redis.opts.Prefix, explained(err, &t.redis.target))
}

// ensure looks at the store unless it is known to be this gateway's own.
func (t *tenancy) ensure(ctx context.Context) error {
	if t.held.Load() {
		return nil
	}
	return t.check(ctx)
}

// hold is ensure, and has the store looked at again from time to time, which the caller does not wait for.
func (t *tenancy) hold(ctx context.Context) error {
	if err := t.ensure(ctx); err != nil {
		return err
	}
	now, looked := time.Now().UnixNano(), t.looked.Load()
	if time.Duration(now-looked) < recheck || !t.looked.CompareAndSwap(looked, now) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped.Err() == nil {
		t.looking.Go(func() {
			ctx, cancel := context.WithTimeout(t.stopped, t.redis.opts.Timeout)
			defer cancel()
			_ = t.check(ctx) // what is foreign, ensure finds again; a node that is away says nothing
		})
	}
	return nil
}
