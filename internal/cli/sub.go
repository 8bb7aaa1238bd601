package cli

import (
	"context"
	"errors"

	"sse-gateway/internal/client"
	"sse-gateway/internal/sse"
)

// SubUsage is what "gateway sub -h" says.
const SubUsage = `gateway sub [flags] TOPIC…
gateway sub [flags] --user USER [TOPIC…]

Follows topics, and prints what is published: on a terminal as text, in a pipe as a line of JSON
each, {"id": …, "event": "message", "topic": "robot", "data": …}. It connects again by itself and
goes on where it was. What the history no longer holds is told by an event gap, {"id": …, "event":
"gap", "topic": …, "after": …, "oldest": …}; the end of a topic by an event close.

  --user USER        also the personal events of USER
  --since WHERE      begin there: now, all, last:10, a time (2026-01-31T12:00:00Z), a duration back
                     (10m), or the id of an event, to go on after it (now)
  --count N          end after N events; gap and close do not count
  --all              print the gateway's events ready, position and expiring, too
  --json             lines of JSON on a terminal, too
  --url URL          the gateway, any replica (GATEWAY_URL, or http://localhost:8000)
  --token-file FILE  holds the token, if one is needed; read again at each connection
                     (GATEWAY_TOKEN_FILE, GATEWAY_TOKEN)
  --token TOKEN      the token itself; others on the machine can see it

Exit codes: 0 N events have come, or all topics have ended, 1 the gateway refuses, 2 wrong usage,
3 nothing answers at the first try, 130 Ctrl-C.
`

// errEnough ends a subscription that has got what it was to get.
var errEnough = errors.New("enough")

// Sub is "gateway sub".
func Sub(ctx context.Context, args []string, env func(string) string, terminal Terminal) error {
	c := newCommand("sub", env, terminal)
	var sub client.Subscription
	var count uint
	p := &printer{}
	c.StringVar(&sub.User, "user", "", "")
	c.StringVar(&sub.Since, "since", "", "")
	c.UintVar(&count, "count", 0, "")
	c.printing(p)
	var err error
	if sub.Topics, err = c.parse(args); err != nil {
		return err
	}
	if len(sub.Topics) == 0 && sub.User == "" {
		return c.misused("which topic? For example: gateway sub robot")
	}
	gateway, err := c.client(env)
	if err != nil {
		return err
	}
	defer gateway.Close()
	p.terminal = c.terminal
	err = gateway.Follow(ctx, &sub, func(event sse.Event) error {
		published, err := p.print(event)
		if published && count > 0 {
			if count--; count == 0 {
				return errEnough
			}
		}
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return c.ended(ctx, err)
}

// printing adds the flags of what is printed how.
func (c *command) printing(p *printer) {
	c.BoolVar(&p.all, "all", false, "")
	c.BoolFunc("json", "", func(string) error { c.terminal.Pretty = false; return nil })
}
