// Package redis is a broker on Redis 7 or Valkey: alone, behind Sentinel, or a Cluster.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
)

// Options say which Redis to use, and how. The zero value of a field means its default in brackets.
type Options struct {
	URL        string // redis://, redis+sentinel:// or redis+cluster://, each with rediss for TLS, or unix://
	Prefix     string // of all keys and channels; see CheckPrefix [gw]
	Replica    string // this replica's name, unlike all others'
	Retention  broker.Retention
	Timeout    time.Duration // of a connection, a publish, a read [2s]
	Partitions int           // of a cluster, a power of two [16]; always 1 elsewhere
	Replicas   int           // of Redis, that must have an event before it is acknowledged
	Log        *slog.Logger  // [discards]

	TLS                            *tls.Config // for rediss: whom to trust, and the client's certificate [the system's trust, none]
	SentinelUser, SentinelPassword string      // of Sentinel itself, which those in the URL are not for
}

// Broker is a broker on Redis 7 or Valkey: alone, behind Sentinel, or a Cluster.
type Broker struct {
	opts       Options
	target     target
	client     goredis.UniversalClient
	reader     goredis.UniversalClient // of events: long reads keep no publish and no mark from a connection
	cluster    *goredis.ClusterClient  // nil unless the client is one
	scripts    scripts
	bounded    *goredis.Script // luaRead
	spaces     []space         // by partition
	publishers []*publisher
	tenancy    *tenancy
	refusals   *refusals
}

// New returns a broker. It connects when it is used: Redis may come later.
func New(opts Options) (*Broker, error) {
	opts.Prefix = cmp.Or(opts.Prefix, "gw")
	opts.Retention = opts.Retention.WithDefaults()
	opts.Timeout = cmp.Or(opts.Timeout, 2*time.Second)
	opts.Partitions = cmp.Or(opts.Partitions, 16)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := CheckPrefix(opts.Prefix); err != nil {
		return nil, fmt.Errorf("the prefix of keys %w", err)
	}
	target, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	universal, err := target.universal(&opts)
	if err != nil {
		return nil, err
	}
	r := &Broker{opts: opts, target: target, client: newClient(universal, target.kind, opts.Timeout), reader: newClient(universal, target.kind, opts.Timeout)}
	if r.cluster, _ = r.client.(*goredis.ClusterClient); r.cluster == nil {
		r.opts.Partitions = 1
	}
	r.scripts, r.bounded = newScripts(opts, universal.DB, r.cluster != nil), goredis.NewScript(luaRead)
	r.tenancy, r.refusals = newTenancy(r), newRefusals(opts.Log)
	for i := range r.opts.Partitions {
		r.spaces = append(r.spaces, newSpace(opts.Prefix, universal.DB, i, r.opts.Partitions))
		r.publishers = append(r.publishers, newPublisher(r, i))
	}
	return r, nil
}

// Partitions is 1, but for a cluster.
func (r *Broker) Partitions() int { return r.opts.Partitions }

// Retention is what is kept.
func (r *Broker) Retention() broker.Retention { return r.opts.Retention }

// Replica is this replica's name.
func (r *Broker) Replica() string { return r.opts.Replica }

// Close closes all connections.
func (r *Broker) Close() error {
	for _, p := range r.publishers {
		p.close()
	}
	r.tenancy.close()
	return errors.Join(r.client.Close(), r.reader.Close())
}

// Publish executes ops in order, in pipelines that concurrent calls share.
func (r *Broker) Publish(_ context.Context, part int, ops []broker.Op) []broker.Result {
	return r.publishers[part].publish(ops)
}

// Mark runs the mark script.
func (r *Broker) Mark(ctx context.Context, part int, seq uint64, floor, rebirth broker.ID) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.tenancy.hold(ctx); err != nil {
		return r.refusals.note(err)
	}
	sp := &r.spaces[part]
	known := ""
	if !rebirth.IsZero() {
		known = rebirth.String()
	}
	args := []any{"2", sp.clock, sp.born, floor.String(), known, sp.marks(r.opts.Replica), strconv.FormatUint(seq, 10)}
	if err := r.runScript(ctx, part, r.scripts.mark, args); err != nil {
		return fmt.Errorf("mark partition %d: %w", part, r.refusals.note(err))
	}
	if r.refusals.stands(part) != nil {
		r.publishers[part].probe()
	}
	return nil
}

// Send publishes a control message.
func (r *Broker) Send(ctx context.Context, to string, payload []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.tenancy.ensure(ctx); err != nil {
		return 0, fmt.Errorf("send a control message: %w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	sp := &r.spaces[0]
	channel := sp.control
	if to != "" {
		channel = sp.marks(to)
	}
	message := append([]byte{'x'}, payload...)
	receivers, err := r.do(ctx, publishCommand(r.cluster != nil), channel, message).Int()
	if err != nil {
		return 0, fmt.Errorf("send a control message: %w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	return receivers, nil
}

// Now asks Redis for its time.
func (r *Broker) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	client := goredis.Cmdable(r.client)
	if r.cluster != nil {
		node, err := r.cluster.MasterForKey(ctx, r.spaces[0].cuts())
		if err != nil {
			return time.Time{}, fmt.Errorf("find the node that keeps the cuts: %w: %w", broker.ErrUnavailable, r.refusals.note(err))
		}
		client = node
	}
	now, err := client.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	return now, nil
}

// RememberCut keeps who was cut off, in a set that is ordered by time. An older cut never takes the place of a newer one.
func (r *Broker) RememberCut(ctx context.Context, owner string, at time.Time, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.tenancy.ensure(ctx); err != nil {
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	key := r.spaces[0].cuts()
	pipe := r.client.Pipeline()
	addOnce(ctx, pipe, "ZADD", key, "GT", at.UnixMilli(), owner)
	addOnce(ctx, pipe, "ZREMRANGEBYSCORE", key, "-inf", at.Add(-keep).UnixMilli())
	addOnce(ctx, pipe, "PEXPIRE", key, keep.Milliseconds())
	if _, err := pipe.Exec(ctx); err != nil {
		return publishError(r.refusals.note(err))
	}
	return nil
}

// Cuts returns who was cut off.
func (r *Broker) Cuts(ctx context.Context) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.tenancy.ensure(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	members, err := r.client.ZRangeWithScores(ctx, r.spaces[0].cuts(), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	cuts := make(map[string]time.Time, len(members))
	for _, z := range members {
		owner, _ := z.Member.(string)
		cuts[owner] = time.UnixMilli(int64(z.Score))
	}
	return cuts, nil
}
