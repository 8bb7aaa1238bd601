package redis

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	goredis "github.com/redis/go-redis/v9"
)

// A kind is how Redis is deployed.
type kind uint8

const (
	alone kind = iota
	sentinel
	cluster
)

// A target is where a URL leads.
type target struct {
	kind               kind
	tls                bool
	addrs              []string // host:port each, or the path of a socket; of Sentinel its own
	master             string   // what Sentinel calls Redis
	username, password string
	db                 int
}

// scheme is one of the forms that a URL may have.
type scheme struct {
	kind kind
	tls  bool
	port string // for a host without one
}

func schemes() map[string]scheme {
	return map[string]scheme{
		"redis": {alone, false, "6379"}, "rediss": {alone, true, "6379"}, "unix": {alone, false, ""},
		"redis+sentinel": {sentinel, false, "26379"}, "rediss+sentinel": {sentinel, true, "26379"},
		"redis+cluster": {cluster, false, "6379"}, "rediss+cluster": {cluster, true, "6379"},
	}
}

var (
	errForm = errors.New("want redis://[user:password@]host:port[/database], redis+sentinel://[user:password@]host:port,host:port/master[/database] " +
		"or redis+cluster://[user:password@]host:port,host:port, each with rediss for TLS, or unix://[user:password@]/path/of/socket[?db=database]")
	errCommand = errors.New("is a command: want only the URL in it, as rediss:// if the command has --tls")
	errHTTP    = errors.New("is an address for HTTP, such as that of a REST API: want Redis's own, which begins with redis:// or rediss://")
	errQuotes  = errors.New("is in quotes: want it without")
	errScheme  = errors.New("does not begin with redis://, or for TLS with rediss://; for a Cluster, as at a configuration endpoint " +
		"(clustercfg.…), with redis+cluster:// or rediss+cluster://")
	errUser     = errors.New("has a user without a password: want user:password@, :password@ or neither")
	errPassword = errors.New("has an empty password: want user:password@, :password@ or neither")
	errFragment = errors.New("has a # that is part of nothing; in a password it is written %23")
	errHost     = errors.New("has no host, or an empty one in its list")
	errHostForm = errors.New("has a host that is neither a name nor an address; IPv6 is written as [::1]:6379")
	errPort     = errors.New("has a port that is not a number from 1 to 65535; a password is followed by @ and the host")
	errHosts    = errors.New("names several hosts, of which Redis alone has one: want redis+sentinel:// or redis+cluster://, or rediss+…")
	errDatabase = errors.New("has a path that is not a database number, such as /0")
	errOnly0    = errors.New("names a database, which a Cluster does not have: want it without a path")
	errMaster   = errors.New("does not name the master, as Sentinel calls it: want redis+sentinel://host:port,host:port/master[/database]")
	errSocket   = errors.New("does not name a socket: want unix:///path/of/socket")
)

// parseURL reads the URL. What it does not take it refuses. An error never repeats a part of the URL, which may be the
// password in the wrong place.
func parseURL(text string) (target, error) {
	if err := checkText(text); err != nil {
		return target{}, err
	}
	name, rest, ok := strings.Cut(text, "://")
	form, known := schemes()[strings.ToLower(name)]
	switch {
	case !ok:
		return target{}, errScheme
	case strings.EqualFold(name, "http"), strings.EqualFold(name, "https"):
		return target{}, errHTTP
	case !known:
		return target{}, errForm
	}
	t := target{kind: form.kind, tls: form.tls}
	// No part behind the password has an @: one that was not encoded is in the password.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if err := t.setUser(rest[:at]); err != nil {
			return target{}, err
		}
		rest = rest[at+1:]
	}
	if strings.Contains(rest, "#") {
		return target{}, errFragment
	}
	if i := strings.IndexFunc(rest, isBlank); i >= 0 {
		return target{}, fmt.Errorf("has %q in it", []rune(rest[i:])[0])
	}
	place, query, _ := strings.Cut(rest, "?")
	if form.port == "" {
		return t, t.setSocket(place, query)
	}
	if err := checkQuery(query); err != nil {
		return target{}, err
	}
	hosts, path, _ := strings.Cut(place, "/")
	if err := t.setHosts(hosts, form.port); err != nil {
		return target{}, err
	}
	return t, t.setPath(path)
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// checkText finds what comes along when a URL is copied.
func checkText(text string) error {
	if text == "" {
		return errForm
	}
	runes := []rune(text)
	if last := runes[len(runes)-1]; isBlank(last) {
		return fmt.Errorf("ends in %q, as the text of a file does: want it without", last)
	}
	if isBlank(runes[0]) {
		return fmt.Errorf("begins with %q: want it without", runes[0])
	}
	if strings.ContainsRune("\"'`<", runes[0]) {
		return errQuotes
	}
	if strings.HasPrefix(text, "redis-cli ") {
		return errCommand
	}
	return nil
}

// setUser reads "user:password".
func (t *target) setUser(text string) error {
	for i, r := range text {
		if r == '%' && isEncoded(text[i:]) || isUserInfo(r) {
			continue
		}
		return fmt.Errorf("has %q in its user or password, which must be written as %s", r, percentEncoded(r))
	}
	user, password, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return errUser
	case password == "":
		return errPassword
	}
	var userErr, passwordErr error
	t.username, userErr = url.PathUnescape(user)
	t.password, passwordErr = url.PathUnescape(password)
	if userErr != nil || passwordErr != nil {
		return errForm
	}
	return nil
}

// isEncoded tells whether text begins with a percent-encoded byte.
func isEncoded(text string) bool {
	if len(text) < 3 {
		return false
	}
	_, err := strconv.ParseUint(text[1:3], 16, 8)
	return err == nil
}

// isUserInfo tells whether a character stands for itself in a user or a password (RFC 3986, section 3.2.1).
func isUserInfo(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-._~!$&'()*+,;=:", r))
}

func percentEncoded(r rune) string {
	var b strings.Builder
	for _, octet := range []byte(string(r)) {
		fmt.Fprintf(&b, "%%%02X", octet)
	}
	return b.String()
}

var parameterForm = regexp.MustCompile(`^[A-Za-z_.-]{1,30}$`)

// checkQuery refuses a query: other clients take their settings from it, and what is ignored here may be what matters.
func checkQuery(query string) error {
	if query == "" {
		return nil
	}
	name, _, _ := strings.Cut(strings.Split(query, "&")[0], "=")
	switch {
	case !parameterForm.MatchString(name):
		return errors.New("has a query, which the gateway does not read: want it without; in a password a ? is written %3F")
	case strings.Contains(name, "sentinel"):
		return fmt.Errorf("has the parameter %q, which the gateway does not read: Sentinel's own user and password are "+
			"GATEWAY_REDIS_SENTINEL_USER and GATEWAY_REDIS_SENTINEL_PASSWORD", name)
	}
	return fmt.Errorf("has the parameter %q, which the gateway does not read: TLS is said by rediss://, certificates by GATEWAY_REDIS_CA, "+
		"GATEWAY_REDIS_CERT and GATEWAY_REDIS_KEY, time by GATEWAY_REDIS_TIMEOUT, a database by the path", name)
}

// setSocket reads the path of a Unix socket, and the only parameter that a URL may have, since no path is left for it.
func (t *target) setSocket(path, query string) error {
	if !strings.HasPrefix(path, "/") || len(path) == 1 {
		return errSocket
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return errSocket
	}
	t.addrs = []string{plain}
	if db, ok := strings.CutPrefix(query, "db="); ok {
		return t.setDatabase(db)
	}
	return checkQuery(query)
}

// setHosts reads a list of hosts.
func (t *target) setHosts(text, port string) error {
	for host := range strings.SplitSeq(text, ",") {
		addr, err := hostPort(host, port)
		if err != nil {
			return err
		}
		t.addrs = append(t.addrs, addr)
	}
	if t.kind == alone && len(t.addrs) > 1 {
		return errHosts
	}
	return nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$`)

// hostPort reads "host", "host:port", "[IPv6]" or "[IPv6]:port".
func hostPort(text, port string) (string, error) {
	host, said := text, false
	if end := strings.LastIndexByte(text, ':'); end > strings.LastIndexByte(text, ']') {
		host, port, said = text[:end], text[end+1:], true
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		address, closed := strings.CutSuffix(inner, "]")
		address, err := url.PathUnescape(address) // a zone comes after %25
		if ip, ipErr := netip.ParseAddr(address); err != nil || ipErr != nil || !ip.Is6() || !closed {
			return "", errHostForm
		}
		host = address
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return "", errHost
	case !bracketed && !hostForm.MatchString(host):
		return "", errHostForm
	case said && (err != nil || n == 0):
		return "", errPort
	}
	return net.JoinHostPort(host, port), nil
}

// setPath reads what follows the hosts.
func (t *target) setPath(text string) error {
	path := strings.Split(strings.Trim(text, "/"), "/")
	if t.kind == sentinel {
		master, err := url.PathUnescape(path[0])
		if err != nil || master == "" {
			return errMaster
		}
		t.master, path = master, path[1:]
	}
	if len(path) > 1 {
		return errDatabase
	}
	if len(path) == 0 || path[0] == "" {
		return nil
	}
	if err := t.setDatabase(path[0]); err != nil {
		return err
	}
	if t.kind == cluster && t.db != 0 {
		return errOnly0
	}
	return nil
}

func (t *target) setDatabase(text string) error {
	db, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return errDatabase
	}
	t.db = int(db)
	return nil
}

var (
	errPlain      = errors.New("is without TLS, but certificates for it are given (GATEWAY_REDIS_CA, GATEWAY_REDIS_CERT): want rediss://, rediss+sentinel:// or rediss+cluster://")
	errNoSentinel = errors.New("does not lead to Sentinel, but its user or password is given (GATEWAY_REDIS_SENTINEL_USER, GATEWAY_REDIS_SENTINEL_PASSWORD): want redis+sentinel:// or rediss+sentinel://")
	errNoPassword = errors.New("leads to Sentinel with a user (GATEWAY_REDIS_SENTINEL_USER), but without the password (GATEWAY_REDIS_SENTINEL_PASSWORD)")
)

// universal returns go-redis's options for the target.
func (t *target) universal(opts *Options) (*goredis.UniversalOptions, error) {
	switch {
	case opts.TLS != nil && !t.tls:
		return nil, errPlain
	case opts.SentinelUser+opts.SentinelPassword != "" && t.kind != sentinel:
		return nil, errNoSentinel
	case opts.SentinelUser != "" && opts.SentinelPassword == "":
		return nil, errNoPassword
	}
	o := &goredis.UniversalOptions{
		Addrs: t.addrs, MasterName: t.master, DB: t.db, Username: t.username, Password: t.password,
		SentinelUsername: opts.SentinelUser, SentinelPassword: opts.SentinelPassword,
	}
	if t.tls {
		o.TLSConfig = tlsConfig(opts.TLS)
	}
	return o, nil
}
