package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func publishes(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "user=jack&topics=chatgpt|robot")
	p.wait(`document.querySelector("[name=topic]").value === "chatgpt"`)
	p.fill("#publish-form [name=topic]", "robot")
	p.fill("#publish-form [name=data]", "hi \"robot\"\n2nd line")
	p.click("#publish-form [type=submit]")
	p.waitText("#publish-result", "Published as 1763870000001-0")
	p.waitEvents("hi \"robot\"\n2nd line")
	p.wait(`document.querySelector("[name=data]").value === ""`)
	p.do(chromedp.SendKeys(chromedp.CSS("#publish-form [name=user]"), "jack"))
	p.wait(`document.querySelector("[name=topic]").value === ""`)
	p.do(chromedp.SendKeys(chromedp.CSS("#publish-form [name=data]"), "psst"))
	p.click("#publish-form [type=submit]")
	p.waitText("#publish-result", "Published as 1763870000002-0")
	p.wait(`document.querySelector('#events > li[data-user="jack"]')`)
	p.do(chromedp.SendKeys(chromedp.CSS("#publish-form [name=user]"), strings.Repeat(kb.Backspace, 4)))
	p.wait(`document.querySelector("[name=topic]").value === "robot"`)
}

func sendsJSON(t *testing.T, b *browser) {
	cases := []struct {
		typed   string
		toggle  bool // whether "Send as JSON" is clicked
		offered bool
		want    string
	}{
		{`{"n": 9007199254740993}`, false, true, `{"n":9007199254740993}`},
		{`[1, 2]`, true, true, `"[1, 2]"`},
		{`42`, false, true, `"42"`},
		{`12345678901234567890`, true, true, `12345678901234567890`},
		{`null`, true, true, `null`},
		{`"quoted"`, false, false, `"\"quoted\""`},
		{`{not json`, false, false, `"{not json"`},
		{``, false, false, `""`},
	}
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	for i, c := range cases {
		p.fill("#publish-form [name=data]", c.typed)
		p.wait(fmt.Sprintf(`document.querySelector("#json-option").hidden !== %v`, c.offered))
		if c.toggle {
			p.click("#publish-form [name=json]")
		}
		p.click("#publish-form [type=submit]")
		p.waitText("#publish-result", fmt.Sprintf("Published as %d-0", firstID+i+1))
		var body struct{ Data json.RawMessage }
		bodies := g.bodies()
		if err := json.Unmarshal([]byte(bodies[len(bodies)-1]), &body); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(body.Data), `": `, `":`); got != c.want {
			t.Errorf("typed %s: sent %s, want %s", c.typed, got, c.want)
		}
	}
}

func showsRefusedPublish(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	g.change(func() { g.rejection = &refusal{http.StatusForbidden, "Forbidden", "Topic t is not yours."} })
	p.fill("#publish-form [name=data]", "again")
	p.click("#publish-form [type=submit]")
	p.waitText(`#publish-result[data-ok="false"]`, "Forbidden: Topic t is not yours.")
	g.setDown(true)
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("#publish-result").textContent.startsWith("The gateway cannot be reached.")`)
	g.change(func() { g.down = false; g.rejection = nil })
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector('#publish-result[data-ok="true"]')`)
	p.fill("#publish-form [name=data]", "again")
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("[name=data]").value === ""`)
	keys := make(map[string]int)
	for _, body := range g.bodies() {
		var event struct{ Key string }
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			t.Fatal(err)
		}
		keys[event.Key]++
	}
	// The browser itself may try a cut request once more.
	if len(keys) != 2 {
		t.Errorf("keys %v: want one for the attempts that failed and the one that did not, another for the same text anew", keys)
	}
}

func sendsToken(t *testing.T, b *browser) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqw6RjayIsImV4cCI6NDEwMjQ0NDgwMH0.c2ln" // {"sub":"jäck","exp":4102444800}
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	p.waitText("#access-summary", "no token")
	p.click("#access summary")
	p.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	p.wait(`document.querySelector("#access-summary").textContent.startsWith("as jäck until ")`)
	p.waitState("live")
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector('#publish-result[data-ok="true"]')`)
	p.do(chromedp.Reload())
	p.waitState("live")
	p.wait(`document.querySelector("#command").textContent.includes("-H 'Authorization: Bearer eyJhbG…'")`)
	g.mu.Lock()
	for i, want := range []string{"", "Bearer " + token, "Bearer " + token} {
		if got := g.admitted[i]; got != want {
			t.Errorf("stream %d with %q, want %q", i, got, want)
		}
	}
	if got := g.tokens[0]; got != "Bearer "+token {
		t.Errorf("published with %q", got)
	}
	g.mu.Unlock()
	if where := eval[string](p, `location.href + document.cookie + JSON.stringify({ ...localStorage })`); strings.Contains(where, token) {
		t.Errorf("the token is in %q", where)
	}
	p.click("#access summary")
	p.click("#forget")
	p.waitText("#access-summary", "no token")
	p.wait(`!JSON.stringify({ ...sessionStorage }).includes("eyJ")`)
	leaked := openTab(t, b, g.URL+"/?topics=t&access_token="+token)
	leaked.waitState("live")
	if got := leaked.query(); got != "topics=t" {
		t.Errorf("address %q: a token stays in it", got)
	}
}

func asksForTarget(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	p.fill("#publish-topic", "")
	p.fill("#publish-data", "{not json")
	p.wait(`!document.querySelector("#not-json").hidden`)
	p.click("#publish-form [type=submit]")
	p.waitText(`#publish-result[data-ok="false"]`, "To which topic, or to whom?")
	p.wait(`document.activeElement.id === "publish-topic"`)
	if n := len(g.bodies()); n != 0 {
		t.Errorf("%d requests without a target", n)
	}
	p.fill("#publish-topic", "t")
	p.waitText("#publish-result", "")
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("#publish-result[data-ok=true]")`)
	p.waitText("#command-label", "What was sent, in a terminal")
	p.wait(`document.querySelector("#command").textContent.includes('{"topic":"t","data":"{not json"}')`)
	p.wait(`document.querySelector("#not-json").hidden`)
	eval[bool](p, `navigator.clipboard.writeText = async (text) => { window.copied = text; }, true`)
	p.click("#copy-command")
	p.wait(`window.copied === document.querySelector("#command").textContent`)
	p.fill("#publish-data", "next")
	p.waitText("#publish-result", "") // what is typed now has not been published
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("#publish-result[data-ok=true]")`)
	g.setDown(true)
	p.waitText("#publish-result", "")
}

func timesOut(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	eval[bool](p, `(() => { const timeout = AbortSignal.timeout; AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 50); return true; })()`)
	g.change(func() { g.mute = true })
	p.fill("#publish-data", "x")
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("#publish-result[data-ok=false]")?.textContent.startsWith("The gateway has not answered within 10 s")`)
	g.change(func() { g.mute = false })
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("#publish-result[data-ok=true]")`)
}
