package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"sse-gateway/internal/cli"
)

// prefix leads the name of every variable.
const prefix = "GATEWAY_"

// A config is everything that can be set, one field for each environment variable. doc is what -h and the README say.
type config struct {
	Addr      string `env:"ADDR" envDefault:"127.0.0.1:8000" doc:"listen address; the image sets :8000"`
	AdminAddr string `env:"ADMIN_ADDR" doc:"listen address of metrics, health and pprof (otherwise metrics and health are on GATEWAY_ADDR, pprof nowhere)"`
	TLSCert   string `env:"TLS_CERT" doc:"certificate chain, a PEM file: TLS with HTTP/2; without, HTTP/1.1 and h2c on one port. Files of keys are read again when they change, and on SIGHUP"`
	TLSKey    string `env:"TLS_KEY" doc:"the certificate's key, a PEM file"`

	RedisURL     secret        `env:"REDIS_URL" doc:"redis://user:password@host:port/database, redis+sentinel://…/master, redis+cluster:// or unix://, for TLS rediss…; empty: the embedded broker, for one replica, which keeps nothing on exit"`
	RedisCA      string        `env:"REDIS_CA" doc:"whom to trust for Redis's certificates, a PEM file; empty: whom the system trusts"`
	RedisCert    string        `env:"REDIS_CERT" doc:"the gateway's own certificate for Redis, a PEM file"`
	RedisKey     string        `env:"REDIS_KEY" doc:"its key, a PEM file"`
	SentinelUser string        `env:"REDIS_SENTINEL_USER" doc:"user for Sentinel itself, which the one in the URL is not for"`
	SentinelPass secret        `env:"REDIS_SENTINEL_PASSWORD" doc:"password for Sentinel itself"`
	RedisPrefix  string        `env:"REDIS_PREFIX" envDefault:"gw" doc:"what all keys and channels begin with: gateways that share it are one, others on the same Redis never meet"`
	RedisTimeout time.Duration `env:"REDIS_TIMEOUT" envDefault:"2s" doc:"time-out of a publish and of a read"`
	Replicas     int           `env:"PUBLISH_REPLICAS" envDefault:"0" doc:"replicas of Redis that must have an event before its publish is acknowledged; 0: a failover may lose the latest"`
	Partitions   int           `env:"PARTITIONS" envDefault:"16" doc:"partitions on a Redis Cluster, a power of two; the same on all replicas of a GATEWAY_REDIS_PREFIX, for good"`
	Canary       time.Duration `env:"CANARY" envDefault:"1s" doc:"interval of the canary event that each replica sends itself; 3 missed and the connection is replaced"`
	HistorySize  int           `env:"HISTORY_SIZE" envDefault:"1000" doc:"at least so many of the latest events are kept per topic; 0: no history"`
	HistoryTTL   time.Duration `env:"HISTORY_TTL" envDefault:"1h" doc:"how long a topic's history is kept after its last event"`

	EmbeddedBytes size `env:"EMBEDDED_BYTES" envDefault:"512MiB" doc:"what the embedded broker keeps at most: events, last ids, keys of idempotency; the topics published to longest ago go first"`

	Auth        string        `env:"AUTH" envDefault:"none" doc:"none or jwt; none on another address than loopback must be said explicitly"`
	JWTKey      secret        `env:"JWT_KEY" doc:"HMAC secret (at least 32 bytes), or PEM text, also in base64: RSA, ECDSA or Ed25519"`
	JWTKeyFile  string        `env:"JWT_KEY_FILE" doc:"a file that holds either"`
	JWKSURL     string        `env:"JWKS_URL" doc:"URL of a JSON Web Key Set"`
	JWTIssuer   string        `env:"JWT_ISSUER" doc:"iss that a token must have; empty: any"`
	JWTAudience []string      `env:"JWT_AUDIENCE" doc:"aud that a token must have one of, separated by commas; empty: any"`
	JWTCookie   string        `env:"JWT_COOKIE" envDefault:"gateway_token" doc:"cookie that may carry the token"`
	JWTClaim    string        `env:"JWT_CLAIM" doc:"claim that holds subscribe, publish and admin: its name, or for a nested one a JSON pointer such as /resource_access/gateway; empty: the token itself"`
	JWTMaxAge   time.Duration `env:"JWT_MAX_AGE" envDefault:"24h" doc:"tokens that live longer are refused"`
	JWTNoExp    bool          `env:"JWT_ALLOW_NO_EXP" envDefault:"false" doc:"accept tokens without exp, for GATEWAY_JWT_MAX_AGE from their iat"`
	Users       []string      `env:"USERS" doc:"allow-list of users, separated by commas; entries may end in *; empty: any"`
	Topics      []string      `env:"TOPICS" doc:"allow-list of topics, in the same form; empty: any"`

	MaxEventBytes     size    `env:"MAX_EVENT_BYTES" envDefault:"64KiB" doc:"compact JSON of one event's data"`
	MaxBodyBytes      size    `env:"MAX_BODY_BYTES" envDefault:"8MiB" doc:"one publish request, for NDJSON one line; the events that it makes may have 4 times as much"`
	MaxTopics         int     `env:"MAX_TOPICS" envDefault:"100" doc:"topics of one stream"`
	MaxStreams        int     `env:"MAX_STREAMS" envDefault:"0" doc:"open streams of this replica; 0: no limit"`
	MaxStreamsPerUser int     `env:"MAX_STREAMS_PER_USER" envDefault:"0" doc:"the same per user"`
	MaxStreamsPerIP   int     `env:"MAX_STREAMS_PER_IP" envDefault:"0" doc:"the same per client address"`
	PublishRate       float64 `env:"PUBLISH_RATE" envDefault:"0" doc:"events per second and publisher (token's sub, or client address) on this replica; 0: no limit"`
	PublishBurst      int     `env:"PUBLISH_BURST" envDefault:"0" doc:"events that a publisher may send at once; 0: what the rate allows in a second"`
	MaxPublishes      int     `env:"MAX_PUBLISHES" envDefault:"4096" doc:"NDJSON requests under way on this replica; 0: no limit"`
	MaxPublishesPer   int     `env:"MAX_PUBLISHES_PER_PUBLISHER" envDefault:"1024" doc:"the same per publisher"`

	PublishIdle time.Duration `env:"PUBLISH_IDLE" envDefault:"5m" doc:"an NDJSON request that brings no line, nor an empty one, for so long is ended; 0: never"`

	Heartbeat    time.Duration `env:"HEARTBEAT" envDefault:"15s" doc:"interval of the heartbeat comment"`
	Retry        time.Duration `env:"RETRY" envDefault:"3s" doc:"reconnection time of subscribers, spread by ±50 %"`
	QueueBytes   size          `env:"QUEUE_BYTES" envDefault:"256KiB" doc:"what may be pending for one subscriber; more, and its stream is closed"`
	QueueEvents  int           `env:"QUEUE_EVENTS" envDefault:"1024" doc:"the same in events"`
	StreamMaxAge time.Duration `env:"STREAM_MAX_AGE" envDefault:"0" doc:"streams are closed at this age, spread by ±20 %; 0: never"`
	Engine       string        `env:"ENGINE" envDefault:"auto" doc:"auto, or off: one goroutine per stream everywhere"`
	Drain        time.Duration `env:"DRAIN" envDefault:"10s" doc:"SIGTERM: unready, then streams close spread over this time; the image sets 8s, since docker stop kills after 10"`

	Hosts          []string `env:"HOSTS" doc:"names by which it may be called while nobody is asked who they are (GATEWAY_AUTH=none, and pprof), separated by commas: localhost and addresses always, *.example.com for all names below, * for any"`
	CORSOrigins    []string `env:"CORS_ORIGINS" doc:"origins of other sites whose pages may use the gateway, separated by commas, such as https://app.example.com or capacitor://localhost; * for any, then without cookies"`
	TrustedProxies []string `env:"TRUSTED_PROXIES" doc:"proxies whose X-Forwarded-For is believed: addresses, networks, loopback or private, separated by commas"`
	LogLevel       string   `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat      string   `env:"LOG_FORMAT" envDefault:"json" doc:"json or text; on a terminal text is the default"`

	authSaid, logFormatSaid bool           // the variable is set
	proxies                 []netip.Prefix // TrustedProxies
	redisTLS                *tls.Config    // RedisCA, RedisCert and RedisKey; nil if none is set
}

// A fault is what is wrong with one variable, named in full.
type fault struct{ name, text string }

// A configError lists everything that is wrong with the configuration.
type configError struct{ faults []fault }

func (e *configError) Error() string {
	var b strings.Builder
	b.WriteString("the configuration cannot be used:")
	for _, f := range e.faults {
		b.WriteString("\n  " + f.name + ": " + f.text)
	}
	return b.String()
}

// loadConfig reads the configuration from environ, entries of the form name=value, and checks it. Its error is a
// *configError that lists every fault.
func loadConfig(environ []string) (config, error) {
	c, faults := parseConfig(environ)
	unread := map[string]bool{}
	for _, f := range faults {
		unread[f.name] = true
	}
	for _, f := range c.check() {
		if !unread[f.name] {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return c, &configError{faults}
	}
	return c, nil
}

// parseConfig reads the configuration. Empty values count as unset.
func parseConfig(environ []string) (config, []fault) {
	var c config
	values := gatewayValues(environ)
	faults := unknownNames(values)
	err := env.ParseWithOptions(&c, env.Options{Environment: values, Prefix: prefix})
	faults = append(faults, parseFaults(err, values)...)
	for _, list := range []*[]string{&c.Users, &c.Topics, &c.Hosts, &c.CORSOrigins, &c.TrustedProxies, &c.JWTAudience} {
		*list = trimmed(*list)
	}
	c.authSaid = values[prefix+"AUTH"] != ""
	c.logFormatSaid = values[prefix+"LOG_FORMAT"] != ""
	return c, faults
}

// gatewayValues picks the variables that are the gateway's, without the empty ones and without those that Kubernetes
// injects for Services.
func gatewayValues(environ []string) map[string]string {
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) && value != "" && !injected(name, value) {
			values[name] = value
		}
	}
	return values
}

func unknownNames(values map[string]string) []fault {
	var faults []fault
	for _, name := range slices.Sorted(maps.Keys(values)) {
		known := slices.ContainsFunc(variables(), func(v variable) bool { return v.name == name })
		if known || cli.IsVariable(name) { // what the commands read may be exported in the same shell
			continue
		}
		faults = append(faults, fault{name, "there is no such variable" + advice(name, values[name])})
	}
	return faults
}

// advice says which variable may have been meant.
func advice(name, value string) string {
	switch strings.TrimPrefix(name, prefix) {
	case "PORT", "HOST", "LISTEN", "BIND":
		example := ":8000"
		if _, err := strconv.ParseUint(value, 10, 16); err == nil {
			example = ":" + value
		}
		return "; the address to listen on is " + prefix + "ADDR, for example " + prefix + "ADDR=" + example
	}
	if near := nearest(name); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// parseFaults says which variables hold what cannot be read.
func parseFaults(err error, values map[string]string) []fault {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil
	}
	var faults []fault
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			faults = append(faults, fault{prefix + "*", err.Error()})
			continue
		}
		field, _ := reflect.TypeFor[config]().FieldByName(parse.Name)
		name := prefix + field.Tag.Get("env")
		faults = append(faults, fault{name, fmt.Sprintf("%s is not %s", shown(values[name]), expected(field.Type))})
	}
	return faults
}

func expected(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 15s or 1h30m"
	case reflect.TypeFor[size]():
		return "a size such as 64KiB, 8MiB or 65536"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[float64]():
		return "a number"
	}
	return "a whole number"
}

func trimmed(list []string) []string {
	var kept []string
	for _, entry := range list {
		if entry = strings.TrimSpace(entry); entry != "" {
			kept = append(kept, entry)
		}
	}
	return kept
}
