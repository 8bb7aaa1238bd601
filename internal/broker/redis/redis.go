// Package redis is a broker on Redis 7 or Valkey: alone, behind Sentinel, or a Cluster.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sse-gateway/internal/broker"
)

// RedisOptions say which Redis to use, and how. The zero value of a field means its default in brackets.
type Options struct {
	URL        string // redis://, rediss://, redis+sentinel:// or redis+cluster://
	Prefix     string // of all keys and channels [gw]
	Replica    string // this replica's name, unlike all others'
	Retention  broker.Retention
	Timeout    time.Duration // of a connection, a publish, a read [2s]
	Partitions int           // of a cluster, a power of two [16]; always 1 elsewhere
	Log        *slog.Logger  // [discards]
}

// Redis is a broker on Redis 7 or Valkey: alone, behind Sentinel, or a Cluster.
type Broker struct {
	opts       Options
	client     goredis.UniversalClient
	reader     goredis.UniversalClient // of events: long reads keep no publish and no mark from a connection
	cluster    *goredis.ClusterClient  // nil unless the client is one
	scripts    scripts
	bounded    *goredis.Script // luaRead
	spaces     []space         // by partition
	publishers []*publisher
}

// NewRedis returns a broker. It connects when it is used: Redis may come later.
func New(opts Options) (*Broker, error) {
	opts.Prefix = cmp.Or(opts.Prefix, "gw")
	opts.Retention = opts.Retention.WithDefaults()
	opts.Timeout = cmp.Or(opts.Timeout, 2*time.Second)
	opts.Partitions = cmp.Or(opts.Partitions, 16)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	universal, kind, err := parseRedisURL(opts.URL)
	if err != nil {
		return nil, err
	}
	r := &Broker{opts: opts, client: newClient(universal, kind, opts.Timeout), reader: newClient(universal, kind, opts.Timeout)}
	if r.cluster, _ = r.client.(*goredis.ClusterClient); r.cluster == nil {
		r.opts.Partitions = 1
	}
	r.scripts, r.bounded = newScripts(opts, r.cluster != nil), goredis.NewScript(luaRead)
	for i := range r.opts.Partitions {
		r.spaces = append(r.spaces, newSpace(opts.Prefix, i, r.opts.Partitions))
		r.publishers = append(r.publishers, newPublisher(r, i))
	}
	return r, nil
}

// A redisKind is how Redis is deployed.
type kind uint8

const (
	alone kind = iota
	sentinel
	cluster
)

// parseRedisURL reads the URL forms of RedisOptions. Its errors never repeat the URL, which may hold a password.
func parseRedisURL(text string) (*goredis.UniversalOptions, kind, error) {
	errForm := errors.New("want redis://[user:password@]host:port[/db], rediss://…, " +
		"redis+sentinel://host:port,host:port/master[/db] or redis+cluster://host:port,host:port")
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, 0, errForm
	}
	scheme, kind := u.Scheme, alone
	switch u.Scheme {
	case "redis", "rediss":
	case "redis+sentinel":
		scheme, kind = "redis", sentinel
	case "redis+cluster":
		scheme, kind = "redis", cluster
	default:
		return nil, 0, errForm
	}
	universal := &goredis.UniversalOptions{Addrs: strings.Split(u.Host, ",")}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if kind == sentinel {
		if path[0] == "" {
			return nil, 0, errForm
		}
		universal.MasterName, path = path[0], path[1:]
	}
	single := *u
	single.Scheme, single.Host, single.Path = scheme, universal.Addrs[0], "/"+strings.Join(path, "/")
	parsed, err := goredis.ParseURL(single.String())
	if err != nil {
		return nil, 0, errForm
	}
	universal.Username, universal.Password, universal.DB, universal.TLSConfig = parsed.Username, parsed.Password, parsed.DB, parsed.TLSConfig
	if len(universal.Addrs) == 1 {
		universal.Addrs[0] = parsed.Addr
	}
	return universal, kind, nil
}

// newClient makes a client that never retries: a publish whose answer was lost must not be executed twice.
func newClient(o *goredis.UniversalOptions, kind kind, timeout time.Duration) goredis.UniversalClient {
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.ContextTimeoutEnabled = true
	o.PoolSize, o.PipelinePoolSize = 16, 16
	o.Protocol, o.DisableIdentity = 2, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch kind {
	case sentinel:
		return goredis.NewFailoverClient(o.Failover())
	case cluster:
		cluster := o.Cluster()
		cluster.MaxRedirects = 3
		return goredis.NewClusterClient(cluster)
	}
	return goredis.NewClient(o.Simple())
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
	sp := &r.spaces[part]
	known := ""
	if !rebirth.IsZero() {
		known = rebirth.String()
	}
	args := []any{"2", sp.clock, sp.born, floor.String(), known, sp.marks(r.opts.Replica), strconv.FormatUint(seq, 10)}
	if err := r.runScript(ctx, part, r.scripts.mark, args); err != nil {
		return fmt.Errorf("mark partition %d: %w", part, err)
	}
	return nil
}

// Send publishes a control message.
func (r *Broker) Send(ctx context.Context, to string, payload []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	sp := &r.spaces[0]
	channel := sp.control
	if to != "" {
		channel = sp.marks(to)
	}
	message := append([]byte{'x'}, payload...)
	receivers, err := r.do(ctx, publishCommand(r.cluster != nil), channel, message).Int()
	if err != nil {
		return 0, fmt.Errorf("send a control message: %w: %w", broker.ErrUnavailable, err)
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
			return time.Time{}, fmt.Errorf("find the node that keeps the cuts: %w: %w", broker.ErrUnavailable, err)
		}
		client = node
	}
	now, err := client.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w: %w", broker.ErrUnavailable, err)
	}
	return now, nil
}

// RememberCut keeps who was cut off, in a set that is ordered by time. An older cut never takes the place of a newer one.
func (r *Broker) RememberCut(ctx context.Context, owner string, at time.Time, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	key := r.spaces[0].cuts()
	pipe := r.client.Pipeline()
	addOnce(ctx, pipe, "ZADD", key, "GT", at.UnixMilli(), owner)
	addOnce(ctx, pipe, "ZREMRANGEBYSCORE", key, "-inf", at.Add(-keep).UnixMilli())
	addOnce(ctx, pipe, "PEXPIRE", key, keep.Milliseconds())
	if _, err := pipe.Exec(ctx); err != nil {
		return publishError(err)
	}
	return nil
}

// Cuts returns who was cut off.
func (r *Broker) Cuts(ctx context.Context) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	members, err := r.client.ZRangeWithScores(ctx, r.spaces[0].cuts(), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	cuts := make(map[string]time.Time, len(members))
	for _, z := range members {
		owner, _ := z.Member.(string)
		cuts[owner] = time.UnixMilli(int64(z.Score))
	}
	return cuts, nil
}

// A space is the keys and channels of one partition. Its tag puts them all in one slot of a cluster.
type space struct {
	prefix, clock, born, control string
}

func newSpace(prefix string, part, parts int) space {
	root := prefix + "{" + partitionTag(part, parts) + "}"
	return space{prefix: root, clock: root + "clock", born: root + "born", control: root + "control"}
}

func (sp *space) last(topic string) string    { return sp.prefix + "l:" + topic }
func (sp *space) stream(topic string) string  { return sp.prefix + "t:" + topic } // and the channel
func (sp *space) key(key string) string       { return sp.prefix + "k:" + key }
func (sp *space) cuts() string                { return sp.prefix + "cuts" }
func (sp *space) marks(replica string) string { return sp.prefix + "m:" + replica }

// partitionTag finds a hash tag whose slot lies in the partition's share of a cluster's slots, so that partitions spread
// evenly over its nodes.
func partitionTag(part, parts int) string {
	const slots = 16384
	for n := 0; ; n++ {
		tag := "p" + strconv.Itoa(part)
		if n > 0 {
			tag += "." + strconv.Itoa(n)
		}
		if slot := int(crc16(tag)) % slots; slot*parts/slots == part {
			return tag
		}
	}
}

// crc16 is the checksum of the Redis Cluster specification (XMODEM).
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
