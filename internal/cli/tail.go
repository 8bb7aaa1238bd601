package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sse-gateway/internal/client"
	"sse-gateway/internal/sse"
)

// TailUsage is what "gateway tail -h" says.
const TailUsage = `gateway tail [flags] [PATTERN…]

Follows every topic that has subscribers, and those that get some as they come: what people see at
this moment, over all replicas. PATTERNs choose among them by name, with * at the end for any rest:
'chat.*'. It prints as gateway sub does, connects again by itself, and goes on where it was. A
topic that nobody else follows any more is let go when another one needs its place.

The token needs the right admin, which lists the topics, and subscribe for the topics themselves.

  --admin            make such a token from GATEWAY_JWT_KEY or GATEWAY_JWT_KEY_FILE, as gateway
                     token does, and a new one whenever it is needed
  --every DURATION   how often to look for new topics (2s)
  --per-stream N     topics of one stream: GATEWAY_MAX_TOPICS of the gateway or fewer (100)
  --all              print the gateway's events ready, position and expiring, too
  --json             lines of JSON on a terminal, too
  --url URL          the gateway, any replica (GATEWAY_URL, or http://localhost:8000)
  --token-file FILE  holds the token; read again at each connection (GATEWAY_TOKEN_FILE,
                     GATEWAY_TOKEN)
  --token TOKEN      the token itself; others on the machine can see it

Exit codes: 1 the gateway refuses, 2 wrong usage, 3 nothing answers at the first try, 130 Ctrl-C.
`

// clockSkew is how far the gateway's clock may be before this machine's.
const clockSkew = 5 * time.Second

type tail struct {
	client    *client.Client
	patterns  []string
	perStream int
	print     func(sse.Event) error
	notice    func(error)

	streams []*tailed
	failed  chan error // why a stream has ended by itself
}

// A tailed is one stream of a tail.
type tailed struct {
	client.Subscription
	cancel context.CancelFunc
	done   chan struct{} // closed when Subscription is free to be changed
}

// Tail is "gateway tail". admin makes a token that may list and follow all topics.
func Tail(ctx context.Context, args []string, env func(string) string, terminal Terminal, admin func() (string, error)) error {
	c := newCommand("tail", env, terminal)
	t := tail{failed: make(chan error, 1)}
	p := &printer{}
	var every time.Duration
	c.DurationVar(&every, "every", 2*time.Second, "")
	c.IntVar(&t.perStream, "per-stream", 100, "")
	c.BoolFunc("admin", "", func(string) error { c.mint = admin; return nil })
	c.printing(p)
	var err error
	if t.patterns, err = c.parse(args); err != nil {
		return err
	}
	if every <= 0 || t.perStream <= 0 {
		return c.misused("--every and --per-stream must be more than 0")
	}
	if t.client, err = c.client(env); err != nil {
		return err
	}
	defer t.client.Close()
	p.terminal = c.terminal
	t.print = func(event sse.Event) error {
		_, err := p.print(event)
		return err
	}
	t.notice = func(err error) { _, _ = fmt.Fprintf(terminal.Err, "gateway: %v; trying again\n", err) }
	return c.ended(ctx, t.run(ctx, every))
}

// run looks for topics until ctx is done, or something cannot succeed.
func (t *tail) run(ctx context.Context, every time.Duration) error {
	defer t.stop()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	since := "now"
	for first := true; ; first = false {
		look := time.Now()
		topics, err := t.client.Topics(ctx)
		switch {
		case err == nil:
			t.update(ctx, topics, since)
			since = look.Add(-clockSkew).UTC().Format(time.RFC3339) // what comes next may have begun just after this look
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case first || !client.IsTemporary(err):
			return err
		default:
			t.notice(err)
		}
		select {
		case <-ticker.C:
		case err := <-t.failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t *tail) stop() {
	for _, stream := range t.streams {
		stream.end()
	}
}

func (s *tailed) end() {
	s.cancel()
	<-s.done
}

// update follows what is new among the topics, of which others follow some and this tail itself others.
func (t *tail) update(ctx context.Context, topics map[string]int, since string) {
	fresh := t.fresh(topics)
	for _, stream := range t.streams {
		if len(fresh) == 0 {
			return
		}
		kept := slices.DeleteFunc(slices.Clone(stream.Topics), func(topic string) bool { return topics[topic] <= 1 })
		room := min(t.perStream-len(kept), len(fresh))
		if room <= 0 {
			continue
		}
		stream.end()
		stream.Topics = append(kept, fresh[:room]...)
		fresh = fresh[room:]
		t.start(ctx, stream) // goes on where it was, also with the new ones
	}
	for part := range slices.Chunk(fresh, t.perStream) {
		stream := &tailed{Subscription: client.Subscription{Topics: part, Since: since}}
		t.streams = append(t.streams, stream)
		t.start(ctx, stream)
	}
}

// fresh lists the topics that are wanted, and not followed yet.
func (t *tail) fresh(topics map[string]int) []string {
	var fresh []string
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		followed := slices.ContainsFunc(t.streams, func(s *tailed) bool { return slices.Contains(s.Topics, topic) })
		if !followed && t.wants(topic) {
			fresh = append(fresh, topic)
		}
	}
	return fresh
}

func (t *tail) wants(topic string) bool {
	return len(t.patterns) == 0 || slices.ContainsFunc(t.patterns, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return topic == pattern || (wild && strings.HasPrefix(topic, prefix))
	})
}

func (t *tail) start(ctx context.Context, stream *tailed) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	stream.cancel, stream.done = cancel, done
	go func() {
		defer close(done)
		defer cancel()
		err := t.client.Follow(ctx, &stream.Subscription, t.print)
		if err != nil && ctx.Err() == nil {
			select {
			case t.failed <- err:
			default: // another one has failed before
			}
		}
	}()
}
