// Package aichat runs examples/ai-chat, and reads runs of models with the packages that people read them with, as they are
// on npm: the AI SDK, OpenAI's and Anthropic's parsers, LangGraph's SDK. Connections are cut, replicas killed, and the balancer
// is started anew meanwhile; the text is that of the run, or the reader is told.
package aichat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
	"sse-gateway/internal/testkit"
)

// patience is how long a test waits for what a busy machine takes its time for.
const patience = 60 * time.Second

var gateways *lab.Builder

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "aichat-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	gateways = lab.NewBuilder(dir)
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// A stack is two replicas on one Redis, behind HAProxy.
type stack struct {
	replicas lab.Replicas
	balancer *lab.Balancer
	origin   string // of the example's page
}

func startStack(t *testing.T, env ...string) *stack {
	t.Helper()
	s := &stack{origin: "http://" + lab.FreeAddr(t)}
	env = append(env, lab.StartRedis(t).Env(), "GATEWAY_CORS_ORIGINS="+s.origin)
	s.replicas = lab.StartReplicas(t, 2, gateways.Binary(t), env...)
	s.balancer = lab.StartBalancer(t, s.replicas)
	return s
}

// runURL is where a run is read from its start, by readers that take every event for theirs.
func (s *stack) runURL(topic string) string {
	return s.balancer.URL + "/subscribe?" + url.Values{"topic": {topic}, "since": {"all"}, "raw": {"1"}, "control": {"0"}}.Encode()
}

// disturb does to the stack what is due before the n-th of so many tokens: each replica is killed once, then the balancer.
func (s *stack) disturb(t *testing.T, n, tokens int) {
	t.Helper()
	switch n * 10 / tokens {
	case (n - 1) * 10 / tokens:
	case 2:
		s.replicas[0].Kill()
	case 4:
		s.replicas[0].Start(t)
		s.replicas[0].WaitReady(t)
	case 5:
		s.replicas[1].Kill()
	case 7:
		s.replicas[1].Start(t)
		s.replicas[1].WaitReady(t)
	case 8:
		s.balancer.Restart(t)
	}
}

// node is the Node that comes with the packages.
func node(t *testing.T, dir string) string {
	t.Helper()
	matches, err := filepath.Glob(filepath.Join(dir, "node_modules", "node-linux-*", "bin", "node"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("%v in %s, %v", matches, dir, err)
	}
	return matches[0]
}

// npm runs npm in a folder.
func npm(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), testkit.Program(t, "npm"), args...)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

var installed sync.Once

// install installs the readers' packages as their lock file says.
func install(t *testing.T) (dir string) {
	t.Helper()
	dir = lab.RepoFile(t, "integration_test", "aichat", "js")
	installed.Do(func() { npm(t, dir, "ci", "--ignore-scripts", "--no-audit", "--no-fund") })
	return dir
}

// An outcome is what readers have got.
type outcome struct {
	Cuts     int            `json:"cuts"`
	Texts    map[string]int `json:"texts"`
	Failures map[string]int `json:"failures"`
}

// A reading is readers under way.
type reading struct {
	*testkit.Process
	kind string
}

const readersOfEach = 25

// read starts readers of one kind. Their streams are longer than bytes: within it each is cut once.
func read(t *testing.T, dir, kind, from string, bytes int) *reading {
	t.Helper()
	order, err := json.Marshal(map[string]any{"kind": kind, "url": from, "readers": readersOfEach, "seed": len(kind), "bytes": bytes})
	if err != nil {
		t.Fatal(err)
	}
	return &reading{testkit.StartProcess(t, kind, nil, node(t, dir), filepath.Join(dir, "readers.mjs"), string(order)), kind}
}

func (r *reading) outcome(t *testing.T) outcome {
	t.Helper()
	if code := r.WaitExit(t, patience); code != 0 {
		t.Fatalf("%s: exit code %d\n%s", r.kind, code, r.Log())
	}
	lines := bytes.Split(bytes.TrimSpace(r.Log()), []byte("\n"))
	var o outcome
	if err := json.Unmarshal(lines[len(lines)-1], &o); err != nil {
		t.Fatalf("%s: %v\n%s", r.kind, err, r.Log())
	}
	return o
}

// event is an event of a run in a client's own form.
func event(kind, topic string, n int, text string) map[string]any {
	e := map[string]any{"topic": topic, "key": fmt.Sprint(n)}
	switch kind {
	case "useChat":
		e["data"] = map[string]any{"type": "text-delta", "id": "0", "delta": text}
	case "openai":
		e["data"] = map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]any{"content": text}}}}
	case "anthropic":
		e["event"] = "content_block_delta"
		e["data"] = map[string]any{"type": "content_block_delta", "index": 0, "delta": map[string]any{"type": "text_delta", "text": text}}
	case "langgraph":
		e["event"] = "messages"
		e["data"] = []any{map[string]any{"type": "AIMessageChunk", "content": text}, map[string]any{}}
	}
	return e
}

// end closes a run's topic with its last events.
func (s *stack) end(t *testing.T, kind string) {
	t.Helper()
	_, last := edges(kind)
	if last == nil {
		last = []map[string]any{}
	}
	s.publish(t, "/topics/"+kind+"/close", last)
}

// edges are the events before and after a run's text.
func edges(kind string) (first, last []map[string]any) {
	switch kind {
	case "useChat":
		return []map[string]any{{"data": map[string]any{"type": "start", "messageId": "m"}}, {"data": map[string]any{"type": "text-start", "id": "0"}}},
			[]map[string]any{{"data": map[string]any{"type": "text-end", "id": "0"}}, {"data": map[string]any{"type": "finish"}}, {"data": "[DONE]"}}
	case "openai":
		return nil, []map[string]any{{"data": "[DONE]"}}
	case "anthropic":
		return nil, []map[string]any{{"event": "message_stop", "data": map[string]any{"type": "message_stop"}}}
	}
	return nil, nil
}

// publish publishes until it is acknowledged.
func (s *stack) publish(t *testing.T, path string, value any) {
	t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, patience, func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.balancer.URL+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, response.Status)
		}
		return nil
	})
}

var words = []string{"Stream", " in", " order", ",", " né", " 漢字", " 👩‍👩‍👧", "\n\n", " \"quoted\"", " <b>&amp;", "\ndata: x", "\u2028", "\r\n", " end", "."}

func kinds() []string { return []string{"useChat", "openai", "anthropic", "langgraph"} }

// TestRuns_AreReadWhole: four clients, 25 readers each, cut at seeded places, through two replicas that are killed and a balancer
// that is restarted.
func TestRuns_AreReadWhole(t *testing.T) {
	dir := install(t)
	s := startStack(t)
	for _, kind := range kinds() {
		first, _ := edges(kind)
		for n, e := range append(first, event(kind, kind, len(first), "Begin ")) {
			e["topic"], e["key"] = kind, fmt.Sprint("first", n)
			s.publish(t, "/publish", e)
		}
	}
	const tokens = 250
	var readings []*reading
	for _, kind := range kinds() {
		readings = append(readings, read(t, dir, kind, s.runURL(kind), tokens*60))
	}
	text := "Begin "
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := range tokens {
		s.disturb(t, n, tokens)
		token := words[(n*7+n/5)%len(words)]
		text += token
		for _, kind := range kinds() {
			s.publish(t, "/publish", event(kind, kind, n, token))
		}
		<-pace.C
	}
	for _, kind := range kinds() {
		s.end(t, kind)
	}
	for _, r := range readings {
		o := r.outcome(t)
		t.Logf("%s: %d cuts, failures %v", r.kind, o.Cuts, o.Failures)
		if o.Texts[text] != readersOfEach || o.Cuts != readersOfEach {
			t.Errorf("%s: %d readers of %d have the run's text, after %d cuts; others have %.3000q", r.kind, o.Texts[text], readersOfEach, o.Cuts, fmt.Sprint(o.Texts))
		}
	}
}

// TestRuns_ThatWereTrimmedFailLoudly: nobody shows the rest of a run as the whole of it.
func TestRuns_ThatWereTrimmedFailLoudly(t *testing.T) {
	dir := install(t)
	s := startStack(t, "GATEWAY_HISTORY_SIZE=10")
	for _, kind := range kinds() {
		var events []any
		for n := range 400 {
			events = append(events, event(kind, kind, n, "x"))
		}
		s.publish(t, "/publish", events)
		s.end(t, kind)
	}
	for _, kind := range kinds() {
		o := read(t, dir, kind, s.runURL(kind), 1<<30).outcome(t)
		if len(o.Texts) > 0 || o.Failures["410"] != readersOfEach {
			t.Errorf("%s: texts %.300q, failures %v; want 410 for all", kind, fmt.Sprint(o.Texts), o.Failures)
		}
	}
}
