package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"sse-gateway/integration_test/lab"
)

// watchPage runs in each page before anything of its own: it notes what a script that got in would do, and what the
// page's policy has kept from happening, which would be luck.
const watchPage = `
window.happened = [];
for (const name of ['alert', 'confirm', 'prompt', 'eval', 'open']) window[name] = () => happened.push(name);
addEventListener('securitypolicyviolation', e => happened.push('policy: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample), true);
addEventListener('error', e => happened.push('error: ' + e.message), true);
`

// payloads are texts that are scripts wherever they are taken for more than text.
func payloads() []string {
	return []string{
		`<script>alert(1)</script>`,
		`<img src=x onerror=alert(1)>`,
		`"><svg onload=alert(1)>`,
		`'-alert(1)-'`,
		`</li></ul><iframe srcdoc="<script>parent.alert(1)</script>">`,
		`javascript:alert(1)`,
		`data:text/html,<script>alert(1)</script>`,
		`${alert(1)} {{alert(1)}} #{alert(1)}`,
		`</script><script>alert(1)//`,
		`<style>@import "http://127.0.0.1:9/x.css";</style>`,
		`<form action="javascript:alert(1)"><button id=publish-form>`,
		`__proto__`,
		"\u200f\u200eשלום<b>",
	}
}

// Whoever can publish, or make somebody follow a link to the page, must not run a script in it.
func TestAttack_ScriptOnThePage(t *testing.T) {
	s := attackable(t, 1, nil)
	base := s.Replicas[0].URL
	tab := lab.Chromium(t)
	tab.Do(t, "watch the page", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPage})
		return err
	}))
	query := url.Values{"user": {markup}, "topic": payloads(), "events": {`<svg onload=alert(1)>`}, "access_token": {`"><script>alert(1)</script>`}}
	tab.Open(t, base+"/?"+query.Encode())
	waitState(t, tab, "live", wait)
	nothingHappened(t, tab, "with payloads in the address")

	publishPayloads(t, s, tab)
	nothingHappened(t, tab, "with payloads as topics, types and data")
	useTheForm(t, tab)
	nothingHappened(t, tab, "with payloads in the form")
	if lab.Eval[string](t, tab, `document.querySelector('#token').value`) != "" {
		t.Error("the page has taken a token from its address")
	}
	// The watch itself works: markup that is written into the page as such is noticed.
	lab.Eval[bool](t, tab, `{ try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>') } catch {} true }`)
	tab.Until(t, wait, `window.happened.length > 0`)

	tab.Open(t, base+"/topics/"+url.PathEscape(markup)+"/events")
	nothingHappened(t, tab, "in a history that is opened as a page")
	s.unharmed(t)
}

const markup = `<img src=x onerror=alert(1)>`

func nothingHappened(t *testing.T, tab *lab.Tab, when string) {
	t.Helper()
	if happened := lab.Eval[[]string](t, tab, `window.happened`); len(happened) != 0 {
		t.Errorf("%s: %v", when, happened)
	}
	const strays = `document.querySelectorAll('img, iframe, style, [onload], [onerror], #events b, script:not([src^="assets/"])').length`
	if n := lab.Eval[int](t, tab, strays); n != 0 {
		t.Errorf("%s: %d elements have come in as markup", when, n)
	}
}

// publishPayloads shows every payload on the page as topic, as data, as a name within data, and under an odd type.
func publishPayloads(t *testing.T, s *site, tab *lab.Tab) {
	t.Helper()
	for _, payload := range payloads() {
		publish(t, s, map[string]any{"topic": payload, "data": payload})
		publish(t, s, map[string]any{"topic": payload, "data": map[string]any{payload: []string{payload}}})
		publish(t, s, map[string]any{"topic": payload, "event": `<svg onload=alert(1)>`, "data": payload})
	}
	// Text that reorders what is around it stays within its own box; as part of a name it is refused.
	publish(t, s, map[string]any{"user": markup, "data": "\u202eevil\u2066"})
	tab.Until(t, wait, fmt.Sprintf(`document.querySelectorAll('#events > li[data-kind=event]').length === %d`, 3*len(payloads())+1))
	for _, selector := range []string{".data", ".topic"} {
		shown := lab.Eval[string](t, tab, fmt.Sprintf(`[...document.querySelectorAll('#events %s')].map(e => e.textContent).join('\n')`, selector))
		for _, payload := range payloads() {
			if !strings.Contains(shown, payload) {
				t.Errorf("%s shows no %q", selector, payload)
			}
		}
		if how := lab.Eval[string](t, tab, fmt.Sprintf(`getComputedStyle(document.querySelector('#events %s')).unicodeBidi`, selector)); how != "isolate" {
			t.Errorf("the text of %s is not isolated: %s", selector, how)
		}
	}
}

// useTheForm publishes what shows the same texts elsewhere: in a command line, and in a problem.
func useTheForm(t *testing.T, tab *lab.Tab) {
	t.Helper()
	for field, text := range map[string]string{"topic": "\u202e" + markup, "data": `'; alert(1) <script>alert(1)</script>`} {
		lab.Eval[bool](t, tab, fmt.Sprintf(`{
			const field = document.querySelector('#publish-%s');
			field.value = %q;
			field.dispatchEvent(new Event('input', {bubbles: true}))
		}`, field, text))
	}
	tab.Do(t, "publish a payload to a payload", chromedp.Click("#publish-form button[type=submit]"))
	tab.Until(t, wait, `document.querySelector('#publish-result').dataset.ok === 'false'`)
}

// A page of another site cannot put ours into a frame.
func TestAttack_FramedPage(t *testing.T) {
	s := attackable(t, 1, nil)
	got := ask(t, s.Replicas[0], request{target: "/"})
	policy := got.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy has no %s: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is too wide: %s", policy)
	}
	if strings.Contains(got.body, "<script>") || strings.Contains(got.body, " onclick=") || strings.Contains(got.body, "style=\"") {
		t.Error("the page has script or style within its markup")
	}
}

func publish(t *testing.T, s *site, event map[string]any) {
	t.Helper()
	body, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.TryPublish(t.Context(), s.Replicas[0].URL, body); err != nil {
		t.Fatal(err)
	}
}
