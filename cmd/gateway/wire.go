package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker/redis"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/httpapi"
	"sse-gateway/internal/limit"
)

// cutSlack is how long a cut is remembered beyond the life of the tokens that it refuses, for clocks that differ.
const cutSlack = 10 * time.Second

// surface is what the HTTP surface takes from the configuration.
func (c config) surface() httpapi.Options {
	return httpapi.Options{
		Retry:         c.Retry,
		MaxEventBytes: int(c.MaxEventBytes),
		MaxBodyBytes:  int(c.MaxBodyBytes),
		MaxTopics:     c.MaxTopics,
		Users:         c.Users,
		Topics:        c.Topics,
		Streams: limit.PlaceLimits{
			Total:   c.MaxStreams,
			PerUser: c.MaxStreamsPerUser,
			PerIP:   c.MaxStreamsPerIP,
		},
		PublishRate:    c.PublishRate,
		PublishBurst:   c.PublishBurst,
		Publishes:      limit.PlaceLimits{Total: c.MaxPublishes, PerUser: c.MaxPublishesPer},
		PublishIdle:    c.PublishIdle,
		TrustedProxies: c.proxies,
		Hosts:          c.Hosts,
		CORSOrigins:    c.CORSOrigins,
		AdminElsewhere: c.AdminAddr != "",
	}
}

// jwt is what tokens are checked and made with.
func (c config) jwt() auth.JWTOptions {
	return auth.JWTOptions{
		Key:        string(c.JWTKey),
		KeyFile:    c.JWTKeyFile,
		JWKSURL:    c.JWKSURL,
		Issuer:     c.JWTIssuer,
		Audience:   c.JWTAudience,
		Cookie:     c.JWTCookie,
		Claim:      c.JWTClaim,
		MaxAge:     c.JWTMaxAge,
		AllowNoExp: c.JWTNoExp,
	}
}

// newHub connects the hub to the broker that is configured.
func newHub(c config, revoked *auth.Revocations, log *slog.Logger) (*fanout.Hub, error) {
	broker, err := newBroker(c, log)
	if err != nil {
		return nil, err
	}
	options := fanout.Options{
		QueueEvents: c.QueueEvents,
		QueueBytes:  int(c.QueueBytes),
		EventBytes:  int(c.MaxEventBytes),
		Timeout:     c.RedisTimeout,
		Canary:      c.Canary,
		Log:         log,
	}
	if c.Auth == "jwt" {
		options.CutTTL, options.OnCut = c.JWTMaxAge+cutSlack, revoked.Cut
	}
	return fanout.NewHub(broker, options), nil
}

func newBroker(c config, log *slog.Logger) (broker.Broker, error) {
	if c.RedisURL == "" {
		return memory.New(memory.Options{Retention: c.retention(), MaxBytes: int(c.EmbeddedBytes)}), nil
	}
	options := c.redis()
	options.Log = log
	goredis.SetLogger(redisLogger{log})
	broker, err := redis.New(options)
	if err != nil {
		return nil, fmt.Errorf("%sREDIS_URL: %w", prefix, err)
	}
	return broker, nil
}

// retention is what is kept of every topic.
func (c config) retention() broker.Retention {
	return broker.Retention{Size: c.HistorySize, Events: c.HistoryTTL}
}

// redis is where events are stored.
func (c config) redis() redis.Options {
	return redis.Options{
		URL:        string(c.RedisURL),
		Prefix:     c.RedisPrefix,
		Replica:    replicaName(),
		Retention:  c.retention(),
		Timeout:    c.RedisTimeout,
		Partitions: c.Partitions,
		Replicas:   c.Replicas,

		TLS:              c.redisTLS,
		SentinelUser:     c.SentinelUser,
		SentinelPassword: string(c.SentinelPass),
	}
}

// replicaName is like no other replica's, nor like this one's before a restart.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "gateway"
	}
	return host + "-" + rand.Text()[:10]
}

// redisLogger takes what go-redis has to say besides its errors, which are handled where they come up.
type redisLogger struct{ log *slog.Logger }

func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis client", "note", fmt.Sprintf(format, args...))
	}
}
