// Package httpapi is the gateway's HTTP surface: it reads and checks requests, asks who sends them and what they may do,
// and hands events to the hub and subscribers to the streams. routes.go shows all of it on one page.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/build"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/limit"
	"sse-gateway/internal/stream"
)

// errPanic stands for the cause of a panic, which has been logged.
var errPanic = errors.New("a handler panicked")

// Options are the limits and habits of the surface. The zero value of a field means its default in brackets.
type Options struct {
	Retry         time.Duration // reconnection time of subscribers, spread by ±50 % [3s]
	Heartbeat     time.Duration // of the streams, which ready tells [not told]
	MaxEventBytes int           // compact JSON of one event's data [64 KiB]
	MaxBodyBytes  int           // one publish request, or one line of NDJSON [8 MiB]
	MaxTopics     int           // topics of one stream [100]

	Users  []string // allow-list; entries may end in "*" [any]
	Topics []string // the same for topics [any]

	Streams        limit.PlaceLimits // most open streams [no limit]
	PublishRate    float64           // events per second and publisher [no limit]
	PublishBurst   int               // events at once [what the rate allows in a second]
	Publishes      limit.PlaceLimits // most requests of lines under way; PerUser is per publisher, as PublishRate [no limit]
	PublishIdle    time.Duration     // how long they may bring nothing [for ever]
	TrustedProxies []netip.Prefix    // whose X-Forwarded-For is believed [nobody's]

	Hosts          []string     // names that it may be called by where nobody authenticates; "*.example.com": all below; "*": any [localhost, addresses]
	CORSOrigins    []string     // origins of other sites' pages that may use the gateway; "*": any, without credentials [none]
	AdminElsewhere bool         // metrics are on AdminRoutes only
	KeysReady      func() error // what else has to be there to be ready [nothing]
	Log            *slog.Logger // [discards]
}

func (o Options) withDefaults() Options {
	if o.Retry == 0 {
		o.Retry = 3 * time.Second
	}
	if o.MaxEventBytes == 0 {
		o.MaxEventBytes = 64 << 10
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = 8 << 20
	}
	if o.MaxTopics == 0 {
		o.MaxTopics = 100
	}
	if o.KeysReady == nil {
		o.KeysReady = func() error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A publisher is what publishing needs of the hub.
type publisher interface {
	Publish(ctx context.Context, pubs []fanout.Publication) []broker.Result
}

// An API is the gateway's HTTP surface. It owns nothing that has to be closed.
type API struct {
	hub        *fanout.Hub
	publisher  publisher // the hub
	streams    *stream.Streams
	who        auth.Authenticator
	opts       Options
	log        *slog.Logger
	topics     nameList
	users      nameList
	leases     *limit.Places
	lines      *limit.Places // requests of lines, by publisher
	rate       *limit.Rate
	metrics    *metrics
	build      build.Info
	grace      time.Duration    // bodyGrace
	answerTime time.Duration    // answerTime
	clock      func() time.Time // the wall clock, by which tokens expire; it may step

	held     atomic.Int32 // refusals that are held open
	drain    sync.Once
	draining chan struct{} // closed by Drain
}

// New makes the surface of a hub and its streams, for those whom who recognises.
func New(hub *fanout.Hub, streams *stream.Streams, who auth.Authenticator, opts Options) *API {
	opts = opts.withDefaults()
	return &API{
		hub:        hub,
		publisher:  hub,
		streams:    streams,
		who:        who,
		opts:       opts,
		log:        opts.Log,
		topics:     opts.Topics,
		users:      opts.Users,
		leases:     limit.NewPlaces(opts.Streams),
		lines:      limit.NewPlaces(opts.Publishes),
		rate:       limit.NewRate(opts.PublishRate, opts.PublishBurst),
		metrics:    newMetrics(hub, streams),
		build:      build.Read(),
		grace:      bodyGrace,
		answerTime: answerTime,
		clock:      time.Now,
		draining:   make(chan struct{}),
	}
}

// Drain makes the gateway unready, new subscribers reconnect elsewhere, and publishers who stream their events
// come to an end after what they have sent. It may be called more than once.
func (a *API) Drain() { a.drain.Do(func() { close(a.draining) }) }

func (a *API) isDraining() bool {
	select {
	case <-a.draining:
		return true
	default:
		return false
	}
}
