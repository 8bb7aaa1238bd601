package redis

import (
	"crypto/tls"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

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

// tlsConfig is what was given, or what the system trusts. Each node must have a certificate for the name or the address by
// which it is called.
func tlsConfig(given *tls.Config) *tls.Config {
	if given == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return given.Clone()
}
