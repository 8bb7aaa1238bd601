package cli_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/cli"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/httpapi"
	"sse-gateway/internal/stream"
	"sse-gateway/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "a secret of more than thirty-two bytes"

// startGateway serves a gateway on the embedded broker, and returns its URL.
func startGateway(t *testing.T, who auth.Authenticator) string {
	t.Helper()
	hub := fanout.NewHub(memory.New(memory.Options{Retention: broker.Retention{Size: 1000}}), fanout.Options{Timeout: time.Second})
	streams, err := stream.New(stream.Options{QueueBytes: 256 << 10, QueueEvents: 1024, Heartbeat: time.Minute, Engine: true})
	if err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(hub, streams, who, httpapi.Options{Retry: 20 * time.Millisecond})
	server := httptest.NewServer(api.Routes())
	t.Cleanup(func() {
		api.Drain()
		streams.Drain(context.Background(), 0)
		server.Close()
		if err := errors.Join(streams.Close(), hub.Close()); err != nil {
			t.Error(err)
		}
	})
	testkit.WaitFor(t, "the hub is ready", func() bool { return hub.Ready() == nil })
	return server.URL
}

// A ran is a command under way, or at its end.
type ran struct {
	out, errors testkit.Buffer
	stop        context.CancelFunc
	done        chan struct{}
	err         error // when done
}

func (r *ran) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(20 * time.Second):
		t.Fatalf("the command does not end; it has printed %q and %q", r.out.String(), r.errors.String())
		return nil
	}
}

// start runs a command: its name, the input and its arguments. Each entry of env is name=value.
func start(t *testing.T, env []string, input string, args ...string) *ran {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &ran{stop: stop, done: make(chan struct{})}
	terminal := cli.Terminal{In: strings.NewReader(input), Out: &r.out, Err: &r.errors}
	lookup := func(name string) string {
		for _, entry := range env {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
	admin := func() (string, error) {
		return auth.Mint(auth.JWTOptions{Key: key}, auth.Grant{Admin: true, Subscribe: []string{"*"}, Lifetime: time.Minute})
	}
	go func() {
		defer close(r.done)
		switch args[0] {
		case "pub":
			r.err = cli.Pub(ctx, args[1:], lookup, terminal)
		case "sub":
			r.err = cli.Sub(ctx, args[1:], lookup, terminal)
		case "pretty":
			terminal.Pretty = true
			r.err = cli.Sub(ctx, args[1:], lookup, terminal)
		default:
			r.err = cli.Tail(ctx, args[1:], lookup, terminal, admin)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
	})
	return r
}

// run runs a command to its end, and returns what it prints with ids as ID.
func run(t *testing.T, env []string, input string, args ...string) (string, error) {
	t.Helper()
	r := start(t, env, input, args...)
	err := r.wait(t)
	return withoutIDs(r.out.String()), err
}

func withoutIDs(text string) string {
	return regexp.MustCompile(`\d{13}-\d+`).ReplaceAllString(text, "ID")
}

func code(err error) int {
	var exit *cli.ExitError
	var usage *cli.UsageError
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &usage):
		return 2
	case err != nil:
		return -1
	}
	return 0
}

func TestPubAndSub(t *testing.T) {
	env := []string{"GATEWAY_URL=" + startGateway(t, auth.None{})}
	tests := []struct {
		name, input string
		pub         []string
		sub         []string
		ids         int
		want        string // what sub prints
	}{
		{"a text", "", []string{"text", "hi robot"}, []string{"text"}, 1, `{"id":"ID","event":"message","topic":"text","data":"hi robot"}`},
		{"JSON, with flags behind", "", []string{"json", `{"a": [1e2, "<"]}`, "--event", "done"}, []string{"json"}, 1, `{"id":"ID","event":"done","topic":"json","data":{"a":[1e2,"<"]}}`},
		{"text that looks like JSON", "", []string{"--text", "like", "42"}, []string{"like"}, 1, `{"id":"ID","event":"message","topic":"like","data":"42"}`},
		{"data that looks like a flag", "", []string{"minus", "--", "-5"}, []string{"minus"}, 1, `{"id":"ID","event":"message","topic":"minus","data":-5}`},
		{"an inbox", "", []string{"--user", "jack", "psst"}, []string{"--user", "jack"}, 1, `{"id":"ID","event":"message","user":"jack","data":"psst"}`},
		{"lines", "a\n\n1\n", []string{"lines"}, []string{"lines"}, 2, `{"id":"ID","event":"message","topic":"lines","data":"a"}
{"id":"ID","event":"message","topic":"lines","data":1}`},
		{"empty lines of a text", "a\n\n", []string{"--text", "empty"}, []string{"empty"}, 2, `{"id":"ID","event":"message","topic":"empty","data":"a"}
{"id":"ID","event":"message","topic":"empty","data":""}`},
		{"whole events", `{"topics":["n1","n2"],"data":1.0}` + "\n" + `{"topic":"n2","data":"\u0041","event":"x"}`, nil, []string{"n2", "n1"}, 3, `{"id":"ID","event":"message","topic":"n1","data":1.0}
{"id":"ID","event":"message","topic":"n2","data":1.0}
{"id":"ID","event":"x","topic":"n2","data":"\u0041"}`},
		{"nothing", "", []string{"nothing"}, nil, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(t, env, tt.input, append([]string{"pub"}, tt.pub...)...)
			if want := strings.Repeat("ID\n", tt.ids); err != nil || out != want {
				t.Fatalf("pub prints %q, %v, want %q", out, err, want)
			}
			if tt.ids == 0 {
				return
			}
			out, err = run(t, env, "", append([]string{"sub", "--since", "all", "--count", string(rune('0' + tt.ids))}, tt.sub...)...)
			if err != nil || out != tt.want+"\n" {
				t.Errorf("sub prints\n%s %v, want\n%s", out, err, tt.want)
			}
		})
	}
}

func TestPub_AKeyMakesARepetitionSafe(t *testing.T) {
	env := []string{"GATEWAY_URL=" + startGateway(t, auth.None{})}
	for _, input := range []string{"", "a\nb\n"} {
		args := []string{"pub", "t", "--key", "k" + input}
		if input == "" {
			args = append(args, "data")
		}
		args[3] = strings.ReplaceAll(args[3], "\n", "")
		first, again := start(t, env, input, args...), start(t, env, input, args...)
		if err := errors.Join(first.wait(t), again.wait(t)); err != nil || first.out.String() != again.out.String() || first.out.String() == "" {
			t.Errorf("got %q and %q, %v", first.out.String(), again.out.String(), err)
		}
	}
}

func TestPub_SaysWhichLineWasRefused(t *testing.T) {
	env := []string{"GATEWAY_URL=" + startGateway(t, auth.None{})}
	r := start(t, env, "{\"topic\":\"t\",\"data\":1}\nhello\n\n{\"topic\":\"@t\",\"data\":1}\n{\"topic\":\"t\",\"data\":2}\n", "pub")
	if err := r.wait(t); code(err) != cli.ExitRefused || !strings.Contains(err.Error(), "2 of 4 events were not published") {
		t.Errorf("got %v", err)
	}
	if got := withoutIDs(r.out.String()); got != "ID\nID\n" {
		t.Errorf("prints %q", got)
	}
	for _, want := range []string{"line 2: no event, which is like", "line 4: 400 Invalid request: topic: "} {
		if !strings.Contains(r.errors.String(), want) {
			t.Errorf("%q is not in %s", want, r.errors.String())
		}
	}
}

func TestSub_TellsGapsAndEnds(t *testing.T) {
	url := startGateway(t, auth.None{})
	env := []string{"GATEWAY_URL=" + url}
	r := start(t, env, "", "sub", "t", "--since", "1000000000000-0", "--all")
	testkit.WaitFor(t, "it listens", func() bool { return strings.Contains(r.out.String(), `"event":"ready","topics":["t"]`) })
	if _, err := run(t, env, "", "pub", "t", "last"); err != nil {
		t.Fatal(err)
	}
	closeTopic(t, url, "t")
	if err := r.wait(t); err != nil {
		t.Errorf("got %v", err)
	}
	got := withoutIDs(r.out.String())
	for _, want := range []string{`"event":"gap","topic":"t","after":"ID","oldest":null}`, `"topic":"t","data":"last"}`, `"event":"close","topic":"t"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if _, err := run(t, env, "", "sub", "t", "--since", "1000000000001-0"); err != nil {
		t.Errorf("a topic that has ended: %v", err)
	}
}

func closeTopic(t *testing.T, url, topic string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/topics/"+topic+"/close", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("close %s: %v, %v", topic, response, err)
	}
	_ = response.Body.Close()
}

func TestSub_IsPrettyForPeople(t *testing.T) {
	env := []string{"GATEWAY_URL=" + startGateway(t, auth.None{})}
	hostile := "\x1b[31mred\u202eevil\ntwo 👩‍💻"
	if _, err := run(t, env, "", "pub", "t", "--event", "x", "--text", "--", hostile); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, env, "", "pretty", "--since", "all", "--count", "1", "t", "--user", "jack")
	want := regexp.MustCompile(`^-- listening to t, @jack --\n\d\d:\d\d:\d\d t \[x\] ` + regexp.QuoteMeta(`\x1b[31mred\u202eevil`+"\n         two 👩‍💻\n") + `$`)
	if err != nil || !want.MatchString(out) {
		t.Errorf("prints %q, %v", out, err)
	}
}

func TestCommands_ExitCodes(t *testing.T) {
	jwt, err := auth.NewJWT(t.Context(), auth.JWTOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	closed := startGateway(t, jwt)
	dead := httptest.NewServer(nil)
	dead.Close()
	tests := []struct {
		name string
		env  string
		args []string
		code int
		want string
	}{
		{"no token", closed, []string{"sub", "t"}, 1, "sub: 401 Not authenticated: a token is required: Authorization: Bearer, the cookie, or the query parameter access_token; give one with --token-file, or GATEWAY_TOKEN"},
		{"no token to publish with", closed, []string{"pub", "t", "x"}, 1, "pub: 401"},
		{"no token for a list", closed, []string{"tail"}, 1, "tail: 401"},
		{"a reserved name", closed, []string{"sub", "@t", "--token", token(t, auth.Grant{Subscribe: []string{"*"}})}, 1, "400 Invalid request: topic"},
		{"no admin", closed, []string{"tail", "--token", token(t, auth.Grant{Subscribe: []string{"*"}})}, 1, "403 Not allowed: token: it lacks the claim admin"},
		{"no file of a token", closed, []string{"sub", "t", "--token-file", "/nowhere"}, 1, "read the token: open /nowhere"},
		{"nobody there", dead.URL, []string{"sub", "t"}, 3, "; start a gateway there, or name another with --url or GATEWAY_URL"},
		{"nobody to tail", dead.URL, []string{"tail"}, 3, "nothing answers at http://127.0.0.1:"},
		{"no topic", closed, []string{"sub"}, 2, "which topic?"},
		{"an unknown flag", closed, []string{"sub", "t", "--form", "x"}, 2, "sub: flag provided but not defined: -form; gateway sub -h shows how it is used"},
		{"no address", "localhost:8000", []string{"sub", "t"}, 2, "--url or GATEWAY_URL: the URL of a gateway is like"},
		{"two pieces of data", closed, []string{"pub", "t", "hi", "robot"}, 2, `more than one DATA: ["hi" "robot"]; quote it`},
		{"a type for whole events", closed, []string{"pub", "--event", "x"}, 2, "there is neither TOPIC nor --user"},
		{"two tokens", closed, []string{"pub", "t", "x", "--token", "a", "--token-file", "b"}, 2, "which is meant?"},
		{"bytes that are no text", closed, []string{"pub", "t", "\xff"}, 1, "pub: data: not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := run(t, []string{"GATEWAY_URL=" + tt.env}, "", tt.args...)
			if code(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %d %v, want %d %s", code(err), err, tt.code, tt.want)
			}
		})
	}
	t.Run("Ctrl-C", func(t *testing.T) {
		r := start(t, []string{"GATEWAY_URL=" + startGateway(t, auth.None{})}, "", "sub", "t", "--all")
		testkit.WaitFor(t, "it listens", func() bool { return strings.Contains(r.out.String(), "ready") })
		r.stop()
		if err := r.wait(t); code(err) != cli.ExitInterrupted {
			t.Errorf("got %v", err)
		}
	})
}

func token(t *testing.T, grant auth.Grant) string {
	t.Helper()
	grant.Lifetime = time.Minute
	text, err := auth.Mint(auth.JWTOptions{Key: key}, grant)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCommands_TakeTheTokenFromAFile(t *testing.T) {
	jwt, err := auth.NewJWT(t.Context(), auth.JWTOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token(t, auth.Grant{Publish: []string{"t"}})+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := startGateway(t, jwt)
	for name, env := range map[string][]string{
		"by environment": {"GATEWAY_URL=" + url, "GATEWAY_TOKEN_FILE=" + file},
		"by a flag":      {"GATEWAY_URL=" + url, "GATEWAY_TOKEN=something else"},
	} {
		args := []string{"pub", "t", "x"}
		if name == "by a flag" {
			args = append(args, "--token-file", file)
		}
		if out, err := run(t, env, "", args...); err != nil || out != "ID\n" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// Who tails sees what is published in topics that came later, and were more than fit into one stream.
func TestTail_FollowsTopicsAsTheyCome(t *testing.T) {
	jwt, err := auth.NewJWT(t.Context(), auth.JWTOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GATEWAY_URL=" + startGateway(t, jwt), "GATEWAY_TOKEN=" + token(t, auth.Grant{Subscribe: []string{"*"}, Publish: []string{"*"}})}
	tail := start(t, env[:1], "", "tail", "--admin", "--every", "20ms", "--per-stream", "2", "--all", "--json", "chat.*", "robot")
	for _, topic := range []string{"chat.1", "other", "chat.2", "robot"} {
		sub := start(t, env, "", "sub", topic, "--all")
		testkit.WaitFor(t, "it listens", func() bool { return strings.Contains(sub.out.String(), "ready") })
		if _, err := run(t, env, "", "pub", topic, "to "+topic); err != nil {
			t.Fatal(err)
		}
		if topic != "other" {
			testkit.WaitFor(t, "the tail has "+topic, func() bool { return strings.Contains(tail.out.String(), `"data":"to `+topic+`"`) })
		}
	}
	if got := tail.out.String(); strings.Contains(got, "other") || strings.Count(got, `"event":"message"`) != 3 {
		t.Errorf("prints\n%s", got)
	}
	tail.stop()
	if err := tail.wait(t); code(err) != cli.ExitInterrupted {
		t.Errorf("got %v", err)
	}
}
