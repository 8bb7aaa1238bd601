package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// fit tells whether Redis lets the gateway do all that it does, before anything is published: a right that is missing would
// otherwise end a script half-way. It looks at the node of the first partition.
func (r *Broker) fit(ctx context.Context) error {
	sp := &r.spaces[0]
	try := sp.prefix + "try"
	command := []any{"EVALSHA", r.scripts.fit.Hash(), "1", try, sp.channels + "try"}
	answer, err := r.answerScript(ctx, 0, r.scripts.fit, command)
	if err != nil {
		return fmt.Errorf("try what Redis lets the gateway do: %w", err)
	}
	refused, _ := answer.([]any)
	var all []string
	for _, text := range refused {
		all = append(all, fmt.Sprint(text))
	}
	if err := r.do(ctx, "EVAL_RO", "return 1", "1", try).Err(); err != nil {
		all = append(all, err.Error()+" (EVAL_RO)")
	}
	if len(all) > 0 {
		return fmt.Errorf("what the gateway needs: %w", refusalText(strings.Join(all, "; ")))
	}
	return nil
}

// refusalText is what Redis said to the commands of a script, which go-redis has as the script's answer.
type refusalText string

func (t refusalText) Error() string { return string(t) }

// RedisError makes it one of Redis's.
func (refusalText) RedisError() {}

// explained adds to an error at the start what it most likely means, where Redis's own words don't say it.
func explained(err error, t *target) error {
	var hint string
	text := err.Error()
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case t.kind != cluster && (has("MOVED ") || has("CROSSSLOT")):
		hint = "this is a node of a Cluster: want redis+cluster://"
	case has("cluster support disabled"):
		hint = "this is no Cluster: want redis:// or redis+sentinel://"
	case t.tls && (has("does not look like a TLS handshake") || errors.Is(err, context.DeadlineExceeded)):
		hint = "there may be no TLS at that port, to which Redis then says nothing: then the URL begins with redis instead of rediss"
	case errors.Is(err, io.EOF), has("connection reset by peer"):
		hint = "it ended the connection without a word, as a server does that wants TLS: then the URL begins with rediss"
	case has("unknown command 'GET'"), has("unknown command `GET`"):
		hint = "this may be Sentinel: want redis+sentinel://…/master"
	case has("WRONGPASS"), has("NOAUTH"), has("invalid password"), has("AUTH <password> called without"):
		hint = "this does not pass by itself: the user and the password in GATEWAY_REDIS_URL are not Redis's"
	case has("DENIED Redis is running in protected mode"):
		hint = "Redis takes others than its own machine only with a password, or with protected-mode no"
	case has("DB index is out of range"):
		hint = "Redis has fewer databases than the URL's path asks for"
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// server is what INFO says of Redis.
type server struct {
	product, version, mode, role, eviction string
	maxMemory, replicas                    int
}

func serverOf(info string) server {
	fields := make(map[string]string)
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	s := server{product: "Redis", version: fields["redis_version"], mode: fields["redis_mode"], role: fields["role"], eviction: fields["maxmemory_policy"]}
	switch {
	case fields["server_name"] == "valkey", fields["valkey_version"] != "":
		s.product, s.version = "Valkey", fields["valkey_version"]
	case fields["dragonfly_version"] != "":
		s.product, s.version = "Dragonfly", fields["dragonfly_version"]
	case fields["keydb_version"] != "" || fields["mvcc_depth"] != "":
		s.product = "KeyDB"
	}
	s.maxMemory, _ = strconv.Atoi(fields["maxmemory"])
	s.replicas, _ = strconv.Atoi(fields["connected_slaves"])
	return s
}

// troubles tells what is wrong with a Redis that lets the gateway do all it does. replicas is how many are waited for.
func (s *server) troubles(kind kind, replicas int) []string {
	var found []string
	major, _, _ := strings.Cut(s.version, ".")
	if n, err := strconv.Atoi(major); s.product == "Redis" && err == nil && n < 7 {
		found = append(found, "it is older than version 7, which the gateway is made for")
	}
	if s.product == "Dragonfly" || s.product == "KeyDB" {
		found = append(found, "the gateway is made for Redis and Valkey, and has not been tried with "+s.product)
	}
	if s.mode == "cluster" && kind != cluster {
		found = append(found, "this is a node of a Cluster, which may not have all keys: want redis+cluster://")
	}
	if s.role == "slave" {
		found = append(found, "this is a replica, which takes no events")
	}
	if s.maxMemory > 0 && s.eviction != "" && s.eviction != "noeviction" {
		found = append(found, "maxmemory-policy "+s.eviction+" throws histories away when memory runs out, and clients miss events: set noeviction")
	}
	if s.replicas < replicas {
		found = append(found, fmt.Sprintf("it has %d replicas, of which GATEWAY_PUBLISH_REPLICAS=%d are waited for", s.replicas, replicas))
	}
	return found
}

// introduce says in the log what the gateway talks to, and what is wrong with it.
func (r *Broker) introduce(ctx context.Context) {
	info, err := r.do(ctx, "INFO").Text()
	if err != nil {
		r.opts.Log.Info("connected to Redis, which does not say more of itself", "err", err)
		return
	}
	s := serverOf(info)
	who := []any{"product", s.product, "version", s.version, "mode", s.mode}
	if found := s.troubles(r.target.kind, r.opts.Replicas); len(found) > 0 {
		r.opts.Log.Warn("connected to Redis, which is not set up for the gateway", append(who, "troubles", strings.Join(found, "; "))...)
		return
	}
	r.opts.Log.Info("connected to Redis", who...)
}
