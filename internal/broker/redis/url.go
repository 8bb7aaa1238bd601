package redis

import (
	"errors"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

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
		client := goredis.NewFailoverClient(o.Failover())
		client.AddHook(unreached{})
		return client
	case cluster:
		cluster := o.Cluster()
		cluster.MaxRedirects = 3
		client := goredis.NewClusterClient(cluster)
		client.OnNewNode(func(node *goredis.Client) { node.AddHook(unreached{}) })
		return client
	}
	client := goredis.NewClient(o.Simple())
	client.AddHook(unreached{})
	return client
}
