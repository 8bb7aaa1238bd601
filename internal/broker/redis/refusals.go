package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
)

// Of a kind of refusal the first is logged at once, then the next after refusalFirst, then after twice that, and so on.
const (
	refusalFirst = 2 * time.Second
	refusalMost  = 5 * time.Minute
	refusalCalm  = 10 * time.Minute // without one, the next is a first again
)

// probeTopic is published to in order to see whether Redis takes events again. No client can name it.
const probeTopic = "\x00probe"

// passes tells whether a refusal that begins with word passes by itself, or is dealt with elsewhere.
func passes(word string) bool {
	switch word {
	case "OOM", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOSCRIPT", "MOVED", "ASK":
		return true
	}
	return false
}

// kindOf tells the kind of a refusal by Redis, a metric label, and whether it lasts until somebody has acted. The kind is
// empty if Redis has refused nothing.
func kindOf(err error) (kind string, lasts bool) {
	var refusal goredis.Error
	var last farewell
	var text string
	switch {
	case errors.As(err, &last):
		text = last.Error()
	case errors.As(err, &refusal) && !errors.Is(err, goredis.Nil):
		text = refusal.Error()
	default:
		return "", false
	}
	word, _, _ := strings.Cut(text, " ")
	switch lower := strings.ToLower(text); {
	case word != "ERR" && word != "" && word == strings.ToUpper(word) && len(word) <= 16:
		return strings.ToLower(word), !passes(word)
	case strings.Contains(lower, "max number of clients"):
		return "maxclients", true
	case strings.Contains(lower, "can't run this command"), strings.Contains(lower, "can't access at least one of the keys"):
		return "noperm", true // as a script says it
	case strings.Contains(lower, "unknown command"), strings.Contains(lower, "unknown redis command"):
		return "command", true
	}
	return "other", true
}

// isHalfDone tells whether a script may have written something before Redis refused one of its commands. Refusals of all
// writes come before the first.
func isHalfDone(err error) bool {
	kind, _ := kindOf(err)
	switch kind {
	case "", "readonly", "noreplicas", "misconf", "oom", "masterdown":
		return false
	}
	return strings.Contains(err.Error(), "on @user_script:")
}

// refusals counts what Redis refuses, and logs it ever more rarely.
type refusals struct {
	log *slog.Logger

	mu    sync.Mutex // guards all below
	kinds map[string]*refusalKind
	// standing is, by partition, why Redis does not take events: the answer to the last probe.
	standing map[int]error
}

type refusalKind struct {
	count, told uint64 // told: what count was when it was logged
	last, next  time.Time
	pause       time.Duration
}

func newRefusals(log *slog.Logger) *refusals {
	r := &refusals{log: log, kinds: make(map[string]*refusalKind), standing: make(map[int]error)}
	for _, kind := range []string{
		"clusterdown", "command", "loading", "masterdown", "maxclients", "misconf", "noauth", "noperm", "noreplicas", "oom", "other",
		"readonly", "tryagain", "wrongpass", "wrongtype",
	} {
		r.kinds[kind] = &refusalKind{} // a counter that begins with its first event shows no increase
	}
	return r
}

// note counts a refusal, and returns the error with broker.ErrRefused in its chain if it lasts. Other errors it returns as
// they are.
func (r *refusals) note(err error) error {
	kind, lasts := kindOf(err)
	if kind == "" || kind == "noscript" {
		return err
	}
	now := time.Now()
	r.mu.Lock()
	k := r.kinds[kind]
	if k == nil {
		k = &refusalKind{}
		r.kinds[kind] = k
	}
	k.count++
	if now.Sub(k.last) > refusalCalm {
		k.next, k.pause = now, refusalFirst
	}
	k.last = now
	due, more := !now.Before(k.next), k.count-k.told
	if due {
		k.told, k.next, k.pause = k.count, now.Add(k.pause), min(2*k.pause, refusalMost)
	}
	r.mu.Unlock()
	if due {
		r.log.Warn("Redis refuses", "kind", kind, "refusals", more, "err", err)
	}
	if lasts {
		return fmt.Errorf("%w: %w", broker.ErrRefused, err)
	}
	return err
}

// counts returns how often Redis has refused something, by kind.
func (r *refusals) counts() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]uint64, len(r.kinds))
	for kind, k := range r.kinds {
		counts[kind] = k.count
	}
	return counts
}

func (r *refusals) stands(part int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.standing[part]
}

// probed notes what became of a probe.
func (r *refusals) probed(part int, err error) {
	r.mu.Lock()
	stood := len(r.standing) > 0
	if errors.Is(err, broker.ErrRefused) {
		r.standing[part] = err
	} else {
		delete(r.standing, part)
	}
	over := stood && len(r.standing) == 0
	r.mu.Unlock()
	if over {
		r.log.Info("Redis takes events again")
	}
}

// Refusals tells how often Redis has refused something, by kind.
func (r *Broker) Refusals() map[string]uint64 { return r.refusals.counts() }

// Refused tells why Redis does not take the events of a partition, or nil. While it does not, each mark asks anew.
func (r *Broker) Refused(part int) error { return r.refusals.stands(part) }

// probe publishes an event that nobody gets, to see whether Redis refuses all, unless that is under way.
func (p *publisher) probe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.probing {
		return
	}
	p.probing = true
	p.running.Go(func() {
		result := p.publish([]broker.Op{{Topic: probeTopic, Block: []byte("event: probe\n")}})[0]
		p.redis.refusals.probed(p.part, result.Err)
		p.mu.Lock()
		p.probing = false
		p.mu.Unlock()
	})
}

// unreached marks the errors of dialling, after which nothing has been sent, also those of TLS and of asking sentinels, and
// has connections hear a farewell.
type unreached struct{}

// errUnreached: there is no connection to send anything over.
var errUnreached = errors.New("not connected")

// DialHook marks the errors, and wraps connections.
func (unreached) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreached, err)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &greeted{TCPConn: tcp}, nil
		}
		return conn, nil
	}
}

// ProcessHook changes nothing.
func (unreached) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

// ProcessPipelineHook changes nothing.
func (unreached) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}
