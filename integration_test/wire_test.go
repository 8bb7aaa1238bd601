package integration_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
	"sse-gateway/internal/testkit"
)

// openRaw opens a stream on a connection of its own.
func openRaw(t *testing.T, gateway *lab.Gateway, query string) net.Conn {
	t.Helper()
	conn, err := testkit.Dial(gateway.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET /subscribe?%s HTTP/1.1\r\nHost: %s\r\n\r\n", query, gateway.Addr())
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	return conn
}

func TestWire_HeadAndReadyComeInOneWrite(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		gateway := start(t, engine)
		conn := openRaw(t, gateway, "topics=chatgpt|robot&user=jack")
		first := make([]byte, 64<<10)
		n, err := conn.Read(first)
		if err != nil {
			t.Fatal(err)
		}
		if first = first[:n]; !regexp.MustCompile(`(?s)^HTTP/1.1 200 OK\r\n.*\r\n\r\n.*event: ready\n.*\nid: \d+-\d+\n\n`).Match(first) {
			t.Errorf("the first read has not all of head and ready: %q", first)
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(first)), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

// The bytes of a stream: nothing but what the interface promises, heartbeats included.
func TestWire_TheStreamByteForByte(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		gateway := start(t, engine, "GATEWAY_HEARTBEAT=1s")
		conn := openRaw(t, gateway, "topics=robot&user=jack")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer conn.Close() // first: closing the body would read on
		body := bufio.NewReader(resp.Body)
		block := func() string { // or a comment
			var block strings.Builder
			for {
				line, err := body.ReadString('\n')
				if err != nil {
					t.Fatalf("after %q: %v", block.String(), err)
				}
				block.WriteString(line)
				if line == "\n" || (line[0] == ':' && block.Len() == len(line)) {
					return block.String()
				}
			}
		}
		expect := func(got, pattern string) {
			if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
				t.Errorf("got %q, want %q", got, pattern)
			}
		}
		skipPings := func() string {
			for {
				if got := block(); !strings.HasPrefix(got, ":") {
					return got
				}
			}
		}
		expect(block(), `retry: \d+\nevent: ready\ndata: {"topics":\["robot"\],"user":"jack","heartbeat":1000}\nid: \d+-\d+\n\n`)
		expect(block(), `: ping\n`)
		id := lab.Publish(t, gateway.URL, "robot", "hi robot")
		expect(skipPings(), `data: {"topic":"robot","data":"hi robot"}\nid: `+id+`\n\n`)
		if _, err := lab.TryPublish(t.Context(), gateway.URL, []byte(`{"user":"jack","event":"note","retry":1234,"data":{"a": [1, 2]}}`)); err != nil {
			t.Fatal(err)
		}
		expect(skipPings(), `event: note\nretry: 1234\ndata: {"user":"jack","data":{"a":\[1,2\]}}\nid: \d+-\d+\n\n`)
		lab.Publish(t, gateway.URL, "other", "moves the position of every stream")
		for range 3 {
			expect(block(), `: ping\n`) // which nobody needs to know
		}
	})
}

func TestWire_RetryIsSpread(t *testing.T) {
	gateway := start(t, "GATEWAY_RETRY=4s")
	seen := map[int]bool{}
	for range 20 {
		retry := lab.Listen(t, gateway.URL, "t").State().Events[0].Retry
		if retry < 2000 || retry > 6000 {
			t.Errorf("retry is %d ms, want 4 s ± 50 %%", retry)
		}
		seen[retry] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 streams have %d different retries", len(seen))
	}
}

// values are JSON values that are easily damaged on the way.
func values() map[string]string {
	return map[string]string{
		"LF":                     `"a\nb"`,
		"CR":                     `"a\rb"`,
		"CRLF, and at the ends":  `"\r\na\r\n\r\nb\r\n"`,
		"other line separators":  "\"a\\u0085b\u2028c\\u2028d\u2029e\\u000bf\\u000cg\"",
		"looks like a field":     `"\n\nid: 1\nevent: x\ndata: y\n\n: z"`,
		"NUL":                    `"a\u0000b"`,
		"control characters":     `"\u0001\u001f\u007f\b\t"`,
		"emoji":                  `"🙂👩‍👩‍👧‍👦"`,
		"escaped emoji":          `"\ud83d\ude42"`,
		"half of an emoji":       `"\ud83d"`,
		"byte order mark":        "\"\ufeffa\"",
		"leading spaces":         `"  a "`,
		"markup":                 `"<script>alert(1)</script>&amp;'\""`,
		"escapes stay":           `"\u0041\/\\"`,
		"beyond 2^53":            `9007199254740993`,
		"beyond a double":        `123456789012345678901234567890e400`,
		"trailing zero":          `1.10`,
		"negative zero":          `-0`,
		"exponent":               `1E+2`,
		"null":                   `null`,
		"false":                  `false`,
		"empty string":           `""`,
		"empty object and array": `[{},[]]`,
		"duplicate keys":         `{"a":1,"a":2,"":3}`,
		"spaces between tokens":  "{ \"a\" :\n[ 1 ,\t2 ] }",
		"deep":                   strings.Repeat("[", 500) + strings.Repeat("]", 500),
		"at the size limit":      `"` + strings.Repeat("x", 64<<10-2) + `"`,
	}
}

func TestWire_DataArrivesUnaltered(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, broker string) {
		gateway := start(t, broker)
		subscriber := lab.Listen(t, gateway.URL, "values")
		raw := lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{gateway.URL}, Topics: []string{"values"}, Query: "raw=1"})
		raw.WaitReady(t)
		n := 0
		for name, value := range values() {
			t.Run(name, func(t *testing.T) {
				var want bytes.Buffer
				if err := json.Compact(&want, []byte(value)); err != nil {
					t.Fatal(err)
				}
				if _, err := lab.TryPublish(t.Context(), gateway.URL, []byte(`{"topic":"values","data":`+value+`}`)); err != nil {
					t.Fatal(err)
				}
				n++
				got := subscriber.WaitFired(t, n)[n-1]
				if envelope := got.Envelope(t); string(envelope.Data) != want.String() || envelope.Topic != "values" {
					t.Errorf("got %.200q, want %.200q", envelope.Data, want.String())
				}
				wantRaw := want.String()
				var text string
				if wantRaw[0] == '"' && json.Unmarshal([]byte(wantRaw), &text) == nil {
					wantRaw = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
				}
				if got := raw.WaitFired(t, n)[n-1].Data; got != wantRaw {
					t.Errorf("raw: got %.200q, want %.200q", got, wantRaw)
				}
			})
		}
	})
}

func TestWire_DataOverTheLimitIsRefused(t *testing.T) {
	gateway := start(t)
	body := `{"topic":"t","data":"` + strings.Repeat("x", 64<<10-1) + `"}`
	if status, answer := lab.Post(t, gateway.URL+"/publish", body); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %s", status, answer)
	}
}

// What a browser's EventSource makes of the stream is what this package's decoder makes of it.
func TestWire_InABrowser(t *testing.T) {
	page := lab.ServePage(t)
	gateway := start(t, "GATEWAY_CORS_ORIGINS="+page.Origin)
	lab.Chromium(t).Open(t, page.URL(gateway.URL+"/subscribe?topics=values", 1))
	ready := page.Wait(t, "ready", 1)[0]
	if ready.State != 1 || ready.ID == "" {
		t.Errorf("ready is reported as %+v", ready)
	}
	subscriber := lab.Listen(t, gateway.URL, "values")
	names := []string{}
	for name, value := range values() {
		if _, err := lab.TryPublish(t.Context(), gateway.URL, []byte(`{"topic":"values","data":`+value+`}`)); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	want := subscriber.WaitFired(t, len(names))
	got := page.Wait(t, "message", len(names))
	for i, name := range names {
		if got[i].Data != want[i].Data || got[i].ID != want[i].ID {
			t.Errorf("%s: the browser has %.200q, id %s, want %.200q, id %s", name, got[i].Data, got[i].ID, want[i].Data, want[i].ID)
		}
	}
}

func TestWire_TopicsOfManyKinds(t *testing.T) {
	gateway := start(t, lab.StartRedis(t).Env())
	topics := []string{"a b", "ä/ö?#&=%41+", "群聊🙂", `"quoted"\`, "with|bar", strings.Repeat("x", 255), "{tag}", "*?[a-z]"}
	query := url.Values{"topic": topics}
	subscriber := lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{gateway.URL}, Query: query.Encode()})
	subscriber.WaitReady(t)
	for n, topic := range topics {
		lab.Publish(t, gateway.URL, topic, n)
		if got := subscriber.WaitFired(t, n+1)[n].Envelope(t); got.Topic != topic || string(got.Data) != strconv.Itoa(n) {
			t.Errorf("got %+v, want topic %q", got, topic)
		}
		if status, answer := lab.Get(t, gateway.URL+"/topics/"+url.PathEscape(topic)); status != http.StatusOK {
			t.Errorf("topic %q: status %d, %s", topic, status, answer)
		}
	}
}

// The bytes of a stream without the gateway's own events, to its clean end.
func TestWire_EventsOnlyByteForByte(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, store string) {
		overBothPaths(t, func(t *testing.T, engine string) {
			gateway := start(t, engine, store, "GATEWAY_HEARTBEAT=1s")
			topic := "run." + engine[len("GATEWAY_ENGINE="):]
			_, stream := openAnswer(t, gateway, "topics="+topic+"&raw=1&control=0")
			var ids []string
			for _, value := range []any{"Hel", "lo", map[string]int{"tokens": 2}} {
				ids = append(ids, lab.Publish(t, gateway.URL, topic, value))
			}
			if status, answer := lab.Post(t, gateway.URL+"/topics/"+topic+"/close", `{"data":"[DONE]"}`); status != http.StatusOK {
				t.Fatalf("close: %d %s", status, answer)
			}
			body, err := io.ReadAll(stream)
			if err != nil {
				t.Fatalf("after %q: %v", body, err)
			}
			events := strings.ReplaceAll(string(body), ": ping\n", "")
			want := fmt.Sprintf(`^retry: \d+\ndata: Hel\nid: %s\n\ndata: lo\nid: %s\n\ndata: {"tokens":2}\nid: %s\n\ndata: \[DONE\]\nid: (\d+-\d+)\n\n$`, ids[0], ids[1], ids[2])
			if match := regexp.MustCompile(want).FindStringSubmatch(events); match == nil {
				t.Errorf("got %q, want %q", events, want)
			} else if status, _ := openAnswer(t, gateway, "topics="+topic+"&raw=1&control=0&last_event_id="+match[1]); status != http.StatusNoContent {
				t.Errorf("coming back: %d", status)
			}
			if status, rest := openAnswer(t, gateway, "topics="+topic+"&raw=1&control=0&last_event_id="+ids[2]); status != http.StatusOK {
				t.Errorf("coming back before the last event: %d", status)
			} else if rest, err := io.ReadAll(rest); err != nil || !strings.HasSuffix(string(rest), "\n\n") || strings.Count(string(rest), "data:") != 1 {
				t.Errorf("coming back before the last event: %q, %v", rest, err)
			}
		})
	})
}

// Where a gap would be told, a stream without the gateway's own events breaks off.
func TestWire_EventsOnlyBreaksOffAtALoss(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		store := lab.StartRedis(t)
		gateway := start(t, engine, store.Env())
		_, stream := openAnswer(t, gateway, "topics=run&raw=1&control=0")
		id := lab.Publish(t, gateway.URL, "run", "one")
		lab.Publish(t, gateway.URL, "run", "two")
		if err := store.Client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		lab.Publish(t, gateway.URL, "run", "three")
		body, err := io.ReadAll(stream)
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Count(string(body), "data:") != 2 || strings.Contains(string(body), "gap") {
			t.Errorf("got %q, %v", body, err)
		}
		if status, _ := openAnswer(t, gateway, "topics=run&raw=1&control=0&last_event_id="+id); status != http.StatusGone {
			t.Errorf("coming back: %d", status)
		}
		lab.Eventually(t, wait, func() error {
			if ended := gateway.Metric(t, "gateway_streams_closed_total", `reason="lost"`); ended != 1 {
				return fmt.Errorf("%v streams have ended for a loss", ended)
			}
			return nil
		})
	})
}

// openAnswer asks for a stream, and returns the status and the body of the answer.
func openAnswer(t *testing.T, gateway *lab.Gateway, query string) (status int, body io.Reader) {
	t.Helper()
	conn := openRaw(t, gateway, query)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close() // first: closing the body would read on
		_ = resp.Body.Close()
	})
	return resp.StatusCode, resp.Body
}
