package integration_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

// Whatever becomes a line of a stream or of a head must not be able to become two.
func TestAttack_LineBreaksInFields(t *testing.T) {
	s := attackable(t, 2, nil, lab.StartRedis(t).Env())
	publish := func(fields string, lines ...string) request {
		return request{method: "POST", target: "/publish", body: `{"topic":"t","data":1` + fields + `}`, header: lines}
	}
	var attacks []attack
	for what, escaped := range map[string]string{"CR": `\r`, "LF": `\n`, "CRLF": `\r\n`, "NUL": `\u0000`, "escaped LF": `\u000a`} {
		for _, field := range []string{"event", "key"} {
			r := publish(`,"` + field + `":"a` + escaped + `id: 9-9` + escaped + escaped + `"`)
			attacks = append(attacks, attack{what + " in " + field, r, http.StatusBadRequest, field + ":"})
		}
	}
	for _, eventType := range []string{"ready", "gap", "close", "position", "expiring", "open"} {
		attacks = append(attacks, attack{"reserved type " + eventType, publish(`,"event":"` + eventType + `"`), http.StatusBadRequest, "reserved"})
	}
	attacks = append(
		attacks,
		attack{"CR in Idempotency-Key", publish("", "Idempotency-Key: a\rX-Evil: 1"), http.StatusBadRequest, byServer},
		attack{"NUL in Idempotency-Key", publish("", "Idempotency-Key: a\x00b"), http.StatusBadRequest, byServer},
		attack{"Latin-1 in Idempotency-Key", publish("", "Idempotency-Key: caf\xe9"), http.StatusBadRequest, "Idempotency-Key"},
		attack{"1 KB of Idempotency-Key", publish("", "Idempotency-Key: "+strings.Repeat("k", 1024)), http.StatusBadRequest, "Idempotency-Key"},
		attack{"NUL in Last-Event-ID", request{target: "/subscribe?topics=t", header: []string{"Last-Event-ID: 1-1\x00"}}, http.StatusBadRequest, byServer},
		attack{"CR in Last-Event-ID", request{target: "/subscribe?topics=t", header: []string{"Last-Event-ID: 1-1\rX: 1"}}, http.StatusBadRequest, byServer},
		attack{"LF in since", request{target: "/subscribe?topics=t&since=now%0Aevent:+evil"}, http.StatusBadRequest, "since"},
		attack{"LF in raw", request{target: "/subscribe?topics=t&raw=1%0Aevent:+evil"}, http.StatusBadRequest, "raw"},
		attack{"LF in after", request{target: "/topics/t/events?after=1-1%0A"}, http.StatusBadRequest, "after"},
		attack{"LF in the path", request{target: "/nothing%0d%0aSet-Cookie:%20a=b"}, http.StatusNotFound, `nothing at "/nothing\r\nSet-Cookie: a=b"`},
	)
	s.repels(t, attacks)
	for _, query := range []string{"last_event_id=1-1%0D%0Aevent:+evil", "last_event_id=%00", "last_event_id=a%0A%0Adata:+evil", "x=%0d%0aevil:%201"} {
		got := ask(t, s.Replicas[0], request{target: "/subscribe?topics=t&" + query})
		if got.status != http.StatusOK || strings.Contains(got.body, "evil") || strings.Contains(got.body, "\r") || got.header.Get("evil") != "" {
			t.Errorf("%s: %d %q", query, got.status, got.body)
		}
	}
	if got := ask(t, s.Replicas[0], request{target: "/topics/t/events"}); strings.Contains(got.body, `"id"`) {
		t.Errorf("something was published: %s", got.body)
	}
	s.unharmed(t)
}

// Data may hold anything; it must not become a field of the stream, raw or not.
func TestAttack_DataThatLooksLikeTheStream(t *testing.T) {
	s := attackable(t, 1, nil)
	raw := lab.Subscribe(t, lab.SubscribeOptions{Bases: s.URLs(), Topics: []string{"t"}, Query: "raw=1"})
	cooked := lab.Listen(t, s.Replicas[0].URL, "t")
	raw.WaitReady(t)
	texts := []string{
		"\n\nevent: close\ndata: {}\nid: 9-9\n\n", "\r\rid: 9-9\r\r", "\r\n\r\nretry: 1\r\n\r\n", "\u2028event: x\u2029", ":\n:", "\x00\nid: 9-9\n", "\ufeffdata: x",
	}
	for n, text := range texts {
		lab.Publish(t, s.Replicas[0].URL, "t", text)
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
		if got := raw.WaitFired(t, n+1)[n]; got.Data != lines || got.Type != "message" || strings.HasPrefix(got.ID, "9-") {
			t.Errorf("raw: %q became %+v", text, got)
		}
		want, _ := json.Marshal(text)
		if got := cooked.WaitFired(t, n+1)[n]; !sameJSON(t, got.Envelope(t).Data, want) || strings.HasPrefix(got.ID, "9-") {
			t.Errorf("%q became %+v", text, got)
		}
	}
	for _, subscriber := range []*lab.Subscriber{raw, cooked} {
		if state := subscriber.State(); len(state.Fired()) != len(texts) || state.Connects != 1 {
			t.Errorf("%d events over %d connections", len(state.Fired()), state.Connects)
		}
	}
	s.unharmed(t)
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var texts [2]string
	for i, value := range [][]byte{a, b} {
		if err := json.Unmarshal(bytes.TrimSpace(value), &texts[i]); err != nil {
			t.Fatal(err)
		}
	}
	return texts[0] == texts[1]
}
