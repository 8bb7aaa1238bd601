package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"sse-gateway/internal/address"
	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/limit"
)

// faultList gathers what is wrong.
type faultList []fault

// unless adds a fault of the variable, named without prefix.
func (f *faultList) unless(ok bool, name, format string, args ...any) {
	if !ok {
		*f = append(*f, fault{prefix + name, fmt.Sprintf(format, args...)})
	}
}

// check finds the values that can be read but make no sense, and derives what depends on several.
func (c *config) check() []fault {
	var f faultList
	f.address("ADDR", c.Addr)
	if c.AdminAddr != "" {
		f.address("ADMIN_ADDR", c.AdminAddr)
		f.unless(c.AdminAddr != c.Addr || strings.HasSuffix(c.Addr, ":0"), "ADMIN_ADDR", "is the same as GATEWAY_ADDR")
	}
	f.oneOf("AUTH", c.Auth, "none", "jwt")
	f.unless(c.Auth != "none" || c.authSaid || onLoopback(c.Addr), "ADDR",
		"%s is open to other machines, and nobody is asked who they are: set GATEWAY_AUTH=jwt, or say GATEWAY_AUTH=none", shown(c.Addr))
	f.oneOf("ENGINE", c.Engine, "auto", "off")
	f.oneOf("LOG_LEVEL", c.LogLevel, "debug", "info", "warn", "error")
	f.oneOf("LOG_FORMAT", c.LogFormat, "json", "text")
	f.checkTLS(c)
	f.checkRedis(c)
	f.checkJWT(c)
	f.allowList("USERS", c.Users)
	f.allowList("TOPICS", c.Topics)
	f.checkNumbers(c)
	f.checkTimes(c)
	for _, host := range c.Hosts {
		f.unless(hostPattern.MatchString(host), "HOSTS", "%s is not a name such as gateway.example.com or *.example.com, without a port", shown(host))
	}
	for _, origin := range c.CORSOrigins {
		f.origin(origin)
	}
	for _, entry := range c.TrustedProxies {
		proxies, err := limit.ParseTrusted([]string{entry})
		f.unless(err == nil, "TRUSTED_PROXIES", "%s is no address, prefix, loopback or private", shown(entry))
		c.proxies = append(c.proxies, proxies...)
	}
	return f
}

func (f *faultList) oneOf(name, value string, allowed ...string) {
	f.unless(slices.Contains(allowed, value), name, "%s is not %s", shown(value), strings.Join(allowed, " or "))
}

func (f *faultList) address(name, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	f.unless(err == nil, name, "%s is not an address such as 127.0.0.1:8000 or :8000", shown(addr))
}

func (f *faultList) checkTLS(c *config) { f.keyPair("TLS", c.TLSCert, c.TLSKey) }

// keyPair reads a certificate and its key, from the files that two variables name: one is called like name with _CERT, the
// other with _KEY. It returns nil if there is none, or if it is of no use.
func (f *faultList) keyPair(name, certFile, keyFile string) *tls.Certificate {
	switch {
	case certFile == "" && keyFile == "":
		return nil
	case certFile == "":
		f.unless(false, name+"_CERT", "is missing, with %s%s_KEY set", prefix, name)
		return nil
	case keyFile == "":
		f.unless(false, name+"_KEY", "is missing, with %s%s_CERT set", prefix, name)
		return nil
	}
	pair, _, wrong := readCertificate(name, certFile, keyFile)
	*f = append(*f, wrong...)
	return pair
}

// readRedisTLS reads whom to trust, and the gateway's own certificate, which new connections read again.
func (f *faultList) readRedisTLS(c *config) *tls.Config {
	if c.RedisCA+c.RedisCert+c.RedisKey == "" {
		return nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.RedisCA != "" {
		text, err := os.ReadFile(c.RedisCA)
		f.unless(err == nil, "REDIS_CA", "%v", unnamed(err))
		trust.RootCAs = x509.NewCertPool()
		f.unless(err != nil || trust.RootCAs.AppendCertsFromPEM(text), "REDIS_CA", "the file it names holds no certificate in PEM form")
	}
	certFile, keyFile := c.RedisCert, c.RedisKey
	if first := f.keyPair("REDIS", certFile, keyFile); first != nil {
		trust.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if pair, _, wrong := readCertificate("REDIS", certFile, keyFile); wrong == nil {
				return pair, nil
			}
			return first, nil // what the files hold just now is of no use
		}
	}
	return trust
}

// checkRedis makes a broker and closes it again: it does not connect before it is used.
func (f *faultList) checkRedis(c *config) {
	err := redis.CheckPrefix(c.RedisPrefix)
	f.unless(err == nil, "REDIS_PREFIX", "%s %v", shown(c.RedisPrefix), err)
	c.redisTLS = f.readRedisTLS(c)
	if c.RedisURL == "" {
		f.unless(c.redisTLS == nil && c.SentinelUser == "" && c.SentinelPass == "" && c.Replicas == 0, "REDIS_URL", "is missing, with others of Redis set")
		return
	}
	if err != nil {
		return
	}
	broker, err := redis.New(c.redis())
	if err != nil {
		f.unless(false, "REDIS_URL", "%v", err)
		return
	}
	_ = broker.Close() // nothing is connected
}

// checkJWT lets auth find the faults of its options. A key set is not asked for before the gateway starts.
func (f *faultList) checkJWT(c *config) {
	if c.Auth != "jwt" {
		unused := c.JWTKey != "" || c.JWTKeyFile != "" || c.JWKSURL != ""
		f.unless(!unused || c.authSaid, "AUTH", "is not set to jwt, but a key for tokens is configured")
		return
	}
	for _, err := range allErrors(c.jwt().Check()) {
		name, text, named := strings.Cut(err.Error(), ": ")
		if bare, ok := strings.CutPrefix(name, prefix); ok && named {
			f.unless(false, bare, "%s", text)
			continue
		}
		f.unless(false, "AUTH", "jwt: %s", err)
	}
}

// allErrors takes apart what errors.Join has put together.
func allErrors(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, allErrors(err)...)
	}
	return all
}

func (f *faultList) allowList(name string, entries []string) {
	for _, entry := range entries {
		f.unless(!strings.Contains(strings.TrimSuffix(entry, "*"), "*"), name, "%s has a * before its end", shown(entry))
		f.unless(name != "TOPICS" || address.KindOf(entry) == address.Topic, name, "%s starts with @, as no topic does", shown(entry))
	}
}

func (f *faultList) checkNumbers(c *config) {
	for _, n := range []struct {
		name         string
		value, least int
	}{
		{"PUBLISH_REPLICAS", c.Replicas, 0},
		{"HISTORY_SIZE", c.HistorySize, 0},
		{"EMBEDDED_BYTES", int(c.EmbeddedBytes), 1 << 20},
		{"MAX_EVENT_BYTES", int(c.MaxEventBytes), 1},
		{"MAX_BODY_BYTES", int(c.MaxBodyBytes), 1},
		{"MAX_TOPICS", c.MaxTopics, 1},
		{"MAX_STREAMS", c.MaxStreams, 0},
		{"MAX_STREAMS_PER_USER", c.MaxStreamsPerUser, 0},
		{"MAX_STREAMS_PER_IP", c.MaxStreamsPerIP, 0},
		{"PUBLISH_BURST", c.PublishBurst, 0},
		{"MAX_PUBLISHES", c.MaxPublishes, 0},
		{"MAX_PUBLISHES_PER_PUBLISHER", c.MaxPublishesPer, 0},
		{"QUEUE_EVENTS", c.QueueEvents, 1},
	} {
		f.unless(n.value >= n.least, n.name, "%d is less than %d", n.value, n.least)
	}
	f.unless(c.PublishRate >= 0, "PUBLISH_RATE", "%v is less than 0", c.PublishRate)
	f.unless(c.QueueBytes >= c.MaxEventBytes, "QUEUE_BYTES", "%s is less than GATEWAY_MAX_EVENT_BYTES, %s", c.QueueBytes, c.MaxEventBytes)
	f.unless(c.Partitions > 0 && c.Partitions <= 4096 && c.Partitions&(c.Partitions-1) == 0, "PARTITIONS",
		"%d is not a power of two up to 4096", c.Partitions)
}

func (f *faultList) checkTimes(c *config) {
	for _, d := range []struct {
		name         string
		value, least time.Duration
	}{
		{"REDIS_TIMEOUT", c.RedisTimeout, 10 * time.Millisecond},
		{"CANARY", c.Canary, 10 * time.Millisecond},
		{"HISTORY_TTL", c.HistoryTTL, time.Second},
		{"HEARTBEAT", c.Heartbeat, time.Second},
		{"RETRY", c.Retry, time.Millisecond},
		{"STREAM_MAX_AGE", c.StreamMaxAge, 0},
		{"PUBLISH_IDLE", c.PublishIdle, 0},
		{"JWT_MAX_AGE", c.JWTMaxAge, time.Second},
		{"DRAIN", c.Drain, 0},
	} {
		f.unless(d.value >= d.least, d.name, "%s is less than %s", d.value, d.least)
	}
}

// hostPattern is a name of a host, a star with all names below one, or a star for any.
var hostPattern = regexp.MustCompile(`^(\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?)$`)

func (f *faultList) origin(origin string) {
	if origin == "*" {
		return
	}
	err := auth.CheckOrigin(origin)
	f.unless(err == nil, "CORS_ORIGINS", "%s %v", shown(origin), err)
}

func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // told as a fault of its own
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// oneLine is the text of an error, which may be joined of several.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
