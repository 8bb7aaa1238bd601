package aichat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sse-gateway/integration_test/lab"
	"sse-gateway/internal/testkit"
)

const tokens = 800 // of an answer: 16 seconds

// startExample builds examples/ai-chat and starts its back end.
func (s *stack) startExample(t *testing.T) (example string) {
	t.Helper()
	example = lab.RepoFile(t, "examples", "ai-chat")
	npm(t, example, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm(t, example, "run", "build")
	env := []string{"ADDR=" + strings.TrimPrefix(s.origin, "http://"), "GATEWAY=" + s.balancer.URL, fmt.Sprint("TOKENS=", tokens)}
	testkit.StartProcess(t, "ai-chat", env, node(t, install(t)), filepath.Join(example, "server.mjs"))
	lab.Eventually(t, patience, func() error {
		response, err := http.Get(s.origin)
		if err == nil {
			err = response.Body.Close()
		}
		return err
	})
	return example
}

// answerTo asks the example's model, which always says the same, for the text of an answer.
func answerTo(t *testing.T, example, prompt string) string {
	t.Helper()
	const script = `const { answer } = await import(process.argv[1]);
let text = "";
for await (const token of answer(process.argv[2], Number(process.argv[3]), new AbortController().signal, 0)) text += token;
console.log(JSON.stringify(text));`
	model := testkit.StartProcess(t, "model", nil, node(t, install(t)), "--input-type=module", "-e", script,
		filepath.Join(example, "model.mjs"), prompt, fmt.Sprint(tokens))
	if code := model.WaitExit(t, patience); code != 0 {
		t.Fatalf("the model ends with %d\n%s", code, model.Log())
	}
	var text string
	if err := json.Unmarshal(model.Log(), &text); err != nil {
		t.Fatalf("the model says %q: %v", model.Log(), err)
	}
	return text
}

// answers waits until the back end has n messages, and returns the text of the last.
func (s *stack) answers(t *testing.T, chat string, n int) string {
	t.Helper()
	var messages []struct{ Parts []struct{ Text string } }
	lab.Eventually(t, patience, func() error {
		_, body := lab.Get(t, s.origin+"/api/chat/"+chat)
		if err := json.Unmarshal(body, &messages); err != nil {
			return err
		}
		if len(messages) < n {
			return fmt.Errorf("%d messages, want %d", len(messages), n)
		}
		return nil
	})
	return messages[n-1].Parts[0].Text
}

const answersShown = `[...document.querySelectorAll(".assistant")]`

func say(t *testing.T, tab *lab.Tab, prompt string) {
	t.Helper()
	tab.Do(t, "send "+prompt, chromedp.SendKeys("input", prompt+"\n"))
}

// waitStreaming waits until the n-th answer is being shown as it comes.
func waitStreaming(t *testing.T, tab *lab.Tab, n int) {
	t.Helper()
	tab.Until(t, patience, fmt.Sprintf(`document.querySelector("main")?.dataset.status === "streaming" && %s[%d]?.textContent.length > 20`, answersShown, n-1))
}

// expectShown waits until a tab has got the n-th answer, and compares it.
func expectShown(t *testing.T, name string, tab *lab.Tab, n int, want string) {
	t.Helper()
	tab.Until(t, patience, fmt.Sprintf(`document.querySelector("main")?.dataset.status === "ready" && %s.length === %d`, answersShown, n))
	if got := lab.Eval[string](t, tab, fmt.Sprintf(`%s[%d].textContent`, answersShown, n-1)); got != want {
		t.Errorf("%s shows %q\nwant %q", name, got, want)
	}
}

// TestExample_ShowsTheRunWhatever: useChat as it comes, in two tabs, through replicas that are killed, a page that is loaded anew, and a
// balancer that is restarted, in the middle of a run; and a run that is stopped from the other tab.
func TestExample_ShowsTheRunWhatever(t *testing.T) {
	s := startStack(t)
	example := s.startExample(t)
	want := answerTo(t, example, "hello")
	first := lab.Chromium(t)
	first.Open(t, s.origin+"/?chat=c1")
	say(t, first, "hello")
	waitStreaming(t, first, 1)
	s.replicas[0].Kill()
	second := first.Another(t)
	second.Open(t, s.origin+"/?chat=c1")
	waitStreaming(t, second, 1)
	s.replicas[0].Start(t)
	s.replicas[0].WaitReady(t)
	first.Open(t, s.origin+"/?chat=c1")
	s.replicas[1].Kill()
	waitStreaming(t, first, 1)
	s.balancer.Restart(t)
	s.replicas[1].Start(t)
	s.replicas[1].WaitReady(t)
	if got := s.answers(t, "c1", 2); got != want {
		t.Errorf("the back end has %q\nwant %q", got, want)
	}
	expectShown(t, "the first tab", first, 1, want)
	expectShown(t, "the second tab", second, 1, want)

	whole := answerTo(t, example, "again")
	say(t, first, "again")
	waitStreaming(t, first, 2)
	second.Open(t, s.origin+"/?chat=c1")
	waitStreaming(t, second, 2)
	second.Do(t, "stop", chromedp.Click(`button[type="button"]`))
	said := s.answers(t, "c1", 4)
	if said == whole || !strings.HasPrefix(whole, said) {
		t.Errorf("after the stop the back end has %q, want less than %q", said, whole)
	}
	expectShown(t, "the first tab", first, 2, said)
	expectShown(t, "the second tab", second, 2, said)
}
