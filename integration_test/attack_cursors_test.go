package integration_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

// forgedPositions are last event IDs that no gateway has given out, by what is wrong with them. None is like any other's.
func forgedPositions() map[string]string {
	random := make([]byte, 600)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	pack := base64.RawURLEncoding.EncodeToString
	return map[string]string{
		"text":                       "hello",
		"a dash":                     "-",
		"negative":                   "-1--1",
		"one part":                   "1763870000123",
		"three parts":                "1-2-3",
		"a sign":                     "+1-1",
		"a leading zero":             "01-1",
		"hexadecimal":                "0x10-0",
		"exponent":                   "1e3-0",
		"other digits":               "１２３-０",
		"beyond 64 bits":             "18446744073709551616-0",
		"the largest":                "18446744073709551615-18446744073709551615",
		"the largest ms":             "18446744073709551615-0",
		"in the year 5138":           "99999999999999-0",
		"in 2100":                    "4102444800000-1",
		"a range of Redis":           "(0-0",
		"an end of Redis":            "+",
		"many digits":                strings.Repeat("9", 60_000) + "-0",
		"60 KB of text":              strings.Repeat("x", 60_000),
		"of 16 partitions":           "c" + pack([]byte{16, 1, 5, 1, 1, 6, 1}),
		"of 2^63 partitions":         "c" + pack([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1, 1}),
		"of one partition, packed":   "c" + pack([]byte{1, 1, 1, 1}),
		"random bytes":               "c" + pack(random),
		"base64 that is none":        "c====",
		"JSON":                       `{"id":"1-1"}`,
		"SQL":                        "1-1' OR '1'='1",
		"a path":                     "../../1-1",
		"emoji":                      "🙂-🙂",
		"spaces":                     " 1-1 ",
		"a Lua script":               `1-1") redis.call("FLUSHALL") --`,
		"bytes that are no UTF-8":    "\xff\xfe-\x80",
		"a position of the embedded": "1-18446744073709551615",
	}
}

// A forged position leads to a gap, or to what is there for everybody: the stream lives, on both brokers, and gets
// nothing but its own topic's events.
func TestAttack_ForgedPositions(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, broker string) {
		s := attackable(t, 1, nil, broker)
		base := s.Replicas[0].URL
		lab.Publish(t, base, "mine", "first")
		lab.Publish(t, base, "secret", "not yours")
		type victim struct {
			name string
			*lab.Subscriber
		}
		var victims []victim
		for name, id := range forgedPositions() {
			inQuery := lab.Subscribe(t, lab.SubscribeOptions{Bases: s.URLs(), Topics: []string{"mine"}, Query: "last_event_id=" + url.QueryEscape(id)})
			victims = append(victims, victim{name + " in the query", inQuery})
			inHeader := lab.Subscribe(t, lab.SubscribeOptions{Bases: s.URLs(), Topics: []string{"mine"}, LastEventID: id})
			victims = append(victims, victim{name + " in the header", inHeader})
		}
		for _, v := range victims {
			v.WaitReady(t)
		}
		lab.Publish(t, base, "secret", "not yours either")
		lab.Publish(t, base, "mine", "last")
		for _, v := range victims {
			state := v.WaitFor(t, wait, v.name+": the last event", func(state lab.State) bool {
				fired := state.Fired()
				return len(fired) > 0 && strings.Contains(fired[len(fired)-1].Data, `"last"`)
			})
			gaps := 0
			for _, event := range state.Fired() {
				if !strings.Contains(event.Data, `"topic":"mine"`) || strings.Contains(event.Data, "yours") {
					t.Errorf("%s: got %+v", v.name, event)
				}
				if event.Type == "gap" {
					gaps++
				}
			}
			if told := gaps > 0 || len(state.Fired()) == 2; state.Connects != 1 || gaps > 1 || !told {
				t.Errorf("%s: %d connections, %d gaps, events %v", v.name, state.Connects, gaps, state.Fired())
			}
		}
		s.unharmed(t)
	})
}

// Elsewhere a position is a parameter like any other: one that cannot be read is a 400.
func TestAttack_ForgedIDsInQueries(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, broker string) {
		s := attackable(t, 1, nil, broker)
		id := lab.Publish(t, s.Replicas[0].URL, "mine", "first")
		var attacks []attack
		for name, id := range forgedPositions() {
			switch name {
			case "in the year 5138", "in 2100", "a position of the embedded":
				continue // these can be read
			}
			attacks = append(attacks, attack{name + " in after", request{target: "/topics/mine/events?after=" + url.QueryEscape(id)}, http.StatusBadRequest, "after"})
			if strings.HasPrefix(id, "c") || strings.HasPrefix(name, "the largest") {
				continue // it may come from a gateway with other partitions, or from the future
			}
			attacks = append(attacks, attack{name + " in since", request{target: "/subscribe?topics=mine&since=" + url.QueryEscape(id)}, http.StatusBadRequest, "since"})
		}
		s.repels(t, attacks)
		for _, name := range []string{"in the year 5138", "in 2100"} {
			got := ask(t, s.Replicas[0], request{target: "/topics/mine/events?after=" + forgedPositions()[name]})
			if got.status != http.StatusOK || !strings.Contains(got.body, `"events":[]`) {
				t.Errorf("after %s: %d %s", name, got.status, got.body)
			}
		}
		got := ask(t, s.Replicas[0], request{target: "/topics/mine/events?after=0-0"})
		if got.status != http.StatusOK || !strings.Contains(got.body, fmt.Sprintf("%q", id)) {
			t.Errorf("after 0-0: %d %s", got.status, got.body)
		}
	})
}

// A stream from a time to come is one from now: it misses nothing that is published meanwhile.
func TestAttack_ATimeToCome(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, broker string) {
		s := attackable(t, 1, nil, broker)
		for _, since := range []string{"2999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
			subscriber := lab.Subscribe(t, lab.SubscribeOptions{Bases: s.URLs(), Topics: []string{since}, Since: since})
			subscriber.WaitReady(t)
			lab.Publish(t, s.Replicas[0].URL, since, "now")
			subscriber.WaitFired(t, 1)
		}
		s.unharmed(t)
	})
}
