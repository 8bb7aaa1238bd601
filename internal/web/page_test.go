package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPage runs the page in Chromium, against a gateway that the test plays. One browser serves all; each part has a
// tab with a storage of its own.
func TestPage(t *testing.T) {
	browser := startBrowser(t)
	parts := []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"shows events as they come", showsEvents},
		{"shows data as it was sent", showsDataAsSent},
		{"shows script as text", showsScriptAsText},
		{"notes gaps, ends and expiry", notesWhatTheGatewaySays},
		{"reconnects and goes on", reconnects},
		{"waits politely at an overloaded gateway", waitsForReady},
		{"tells why a stream was refused", tellsWhyRefused},
		{"ends when every topic is closed", endsWhenClosed},
		{"changes the subscription by chips", changesSubscription},
		{"hears the event types it was told of", hearsTypes},
		{"shows the same window after a reload", showsSameWindow},
		{"keeps the newest 500", keepsTheNewest},
		{"holds back, clears, and stays where one reads", holdsBack},
		{"publishes and shows the result", publishes},
		{"offers JSON and sends it as typed", sendsJSON},
		{"shows why a publish was refused", showsRefusedPublish},
		{"sends the token and hides it", sendsToken},
		{"works by keyboard alone", worksByKeyboard},
		{"fits a narrow phone", fitsPhone},
		{"follows the system's theme until told", switchesTheme},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) { part.run(t, browser) })
	}
}

// live opens the page at a query and waits until its stream is open.
func live(t *testing.T, browser context.Context, g *fakeGateway, query string) *tab {
	t.Helper()
	p := openTab(t, browser, g.URL+"/?"+query)
	p.waitState("live")
	return p
}

func showsEvents(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	huoyijie := live(t, browser, g, "user=huoyijie&topics=chatgpt")
	jack := live(t, browser, g, "user=jack&topics=chatgpt|robot")
	id := g.send("chatgpt", `"hi"`)
	g.send("robot", `"hi robot"`)
	g.send("@jack", `"psst"`)
	jack.waitEvents("hi", "hi robot", "psst")
	g.send("chatgpt", `"bye"`)
	huoyijie.waitEvents("hi", "bye")
	jack.wait(`document.querySelectorAll('#events > li[data-topic="chatgpt"][data-type="message"]').length === 2`)
	jack.wait(`document.querySelector('#events > li[data-topic=""][data-user="jack"]')`)
	jack.waitText(`#events > li[data-id="`+id+`"] .topic`, "chatgpt")
	jack.waitText("#events > li:first-child .id", id)
	jack.wait(`document.querySelector("#events time").dateTime === new Date(1763870000001).toISOString()`)
	jack.waitText("#count", "4")
}

func showsDataAsSent(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	long := "{" + strings.Repeat(`"k":[1,2],`, 10) + `"end":{}}`
	for _, data := range []string{
		`"two\nlines \u0000 😀"`, `9007199254740993`, `1.50e+2`, `null`, `"9"`, `{"a":"b\n","c":[true,{}]}`,
		`{"data":"inner","topic":"x"}`, `[]`, `""`, deep,
	} {
		g.send("t", data)
	}
	p.waitEvents("two\nlines \x00 😀", "9007199254740993", "1.50e+2", "null", "9", `{"a": "b\n", "c": [true, {}]}`,
		`{"data": "inner", "topic": "x"}`, "[]", "", deep)
	g.sendRaw("t", "message", `{"data":{"data":1},"from":"alice","topic":"t"}`)
	g.sendRaw("t", "message", "no envelope\nat all")
	g.send("t", long)
	p.wait(`document.querySelectorAll("#events > li").length === 13`)
	p.waitText("#events > li:nth-child(11) .data", `{"data": 1}`)
	p.waitText("#events > li:nth-child(11) .from", "from alice")
	p.waitText("#events > li:nth-child(12) .data", "no envelope\nat all")
	p.wait(`/^{\n  "k": \[\n    1,\n    2\n  \],\n/.test(document.querySelector("#events > li:last-child .data").textContent)`)
}

func showsScriptAsText(t *testing.T, browser context.Context) {
	const script = `<img src=x onerror=alert(1)><script>alert(2)</script>`
	g := newFakeGateway(t)
	query := fmt.Sprintf("user=%[1]s&topics=%[1]s&events=%[1]s&since=%[1]s", `%3Cimg src=x onerror=alert(1)%3E%3Cscript%3Ealert(2)%3C/script%3E`)
	p := live(t, browser, g, query)
	data := quote(script) // encoding/json escapes "<": so say it plainly
	data = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(data)
	g.send(script, data)
	g.sendType(script, script, `{`+data+`:`+data+`}`)
	g.sendRaw(script, "gap", `{"topic":`+data+`,"after":`+data+`,"oldest":`+data+`}`)
	g.sendRaw(script, "message", `{"topic":`+data+`,"data":1,"from":`+data+`}`)
	p.wait(`document.querySelectorAll("#events > li").length === 4`)
	p.waitText("#events > li:first-child .data", script)
	p.waitText("#events > li:first-child .topic", script)
	g.change(func() { g.rejection = &refusal{http.StatusBadRequest, script, script} })
	p.fill("#publish-form [name=data]", script)
	p.click("#publish-form [type=submit]")
	p.waitText("#publish-result", script+": "+script)
	g.refuse(&refusal{http.StatusForbidden, script, script})
	p.waitText("#problem-detail", script)
	if n := eval[int](p, `document.querySelectorAll("img, body script, [onerror]").length`); n != 0 {
		t.Errorf("%d elements came out of data", n)
	}
}

func notesWhatTheGatewaySays(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "user=jack&topics=a|b")
	g.sendRaw("a", "gap", `{"topic":"a","after":"1763869000000-0","oldest":"1763869500000-0"}`)
	g.sendRaw("@jack", "gap", `{"user":"jack","after":"1763869000000-0"}`)
	g.sendRaw("a", "position", `{}`)
	g.sendRaw("a", "expiring", `{}`)
	g.sendRaw("a", "close", `{"topic":"a"}`)
	p.waitEvents(
		"Events of a may be missing after 1763869000000-0; the oldest kept is 1763869500000-0.",
		"Events of jack, personally, may be missing after 1763869000000-0; nothing older is kept.",
		"Your access is about to expire: enter a new token to stay connected.",
		"a is closed: nothing more will come.")
	p.wait(`document.querySelector("#access").open`)
	p.wait(`document.querySelector('.chip.closed[data-topic="a"]') && !document.querySelector('.closed[data-topic="b"]')`)
	p.wait(`document.querySelectorAll('#events > li[data-kind="note"]').length === 4`)
	p.waitText("#count", "0")
}

func reconnects(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	g.retry = 1500
	p := live(t, browser, g, "topics=t")
	g.send("t", `"before"`)
	p.waitEvents("before")
	g.setDown(true)
	p.waitState("reconnecting")
	p.wait(`/^in ≈ \d+ s$/.test(document.querySelector("#state-detail").textContent)`)
	p.waitText("#state-text", "Reconnecting")
	p.wait(`/^now – away for \d+ s$/.test(document.querySelector("#state-detail").textContent)
		|| /^in ≈ [12] s$/.test(document.querySelector("#state-detail").textContent)`)
	g.send("t", `"meanwhile"`)
	g.setDown(false)
	p.waitState("live")
	p.wait(`document.querySelector('#events > li[data-type="ready"] .data')?.textContent.startsWith("Back after")`)
	p.wait(`[...document.querySelectorAll('#events > li[data-kind="event"] .data')].map((e) => e.textContent).join() === "before,meanwhile"`)
}

// A gateway that cannot serve now answers 200 and ends the stream without ready: the page must not call that live.
func waitsForReady(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
	eval[bool](p, `new MutationObserver(() => (window.states = [...(window.states ?? []), document.querySelector("#state").dataset.state]))
		.observe(document.querySelector("#state"), { attributes: true }), true`)
	g.refuse(&refusal{status: http.StatusOK})
	p.wait(`window.states?.length >= 3`)
	if states := eval[[]string](p, `window.states`); strings.Contains(strings.Join(states, " "), "live") {
		t.Errorf("states %v", states)
	}
	g.refuse(nil)
	p.waitState("live")
}

func tellsWhyRefused(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	g.refuse(&refusal{http.StatusForbidden, "Forbidden", "The token does not allow topic \"robot\"."})
	p := openTab(t, browser, g.URL+"/?topics=robot")
	p.waitState("ended")
	p.waitText("#problem-title", "Forbidden")
	p.waitText("#problem-detail", `The token does not allow topic "robot".`)
	if n := len(g.queries()); n != 2 { // EventSource's own, and one to read the reason
		t.Errorf("%d requests, want 2", n)
	}
	g.refuse(nil)
	p.click("#reconnect")
	p.waitState("live")
	p.wait(`document.querySelector("#problem").hidden`)
	g.send("robot", `"at last"`)
	p.waitEvents("at last")
	g.refuse(&refusal{http.StatusUnauthorized, "Unauthorized", "Send a token."})
	p.waitState("ended")
	p.wait(`document.querySelector("#access").open`)
}

func endsWhenClosed(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=job")
	g.send("job", `"done"`)
	last := g.sendRaw("job", "close", `{"topic":"job"}`)
	p.waitEvents("done", "job is closed: nothing more will come.")
	g.refuse(&refusal{status: http.StatusNoContent})
	p.waitState("ended")
	p.waitText("#problem-title", "Closed.")
	queries := g.queries()
	if got := queries[len(queries)-1].Get("last_event_id"); got != last {
		t.Errorf("asked for the reason after %q, want %q: an older cursor would be granted a stream", got, last)
	}
}

func changesSubscription(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=chatgpt")
	last := g.send("chatgpt", `"one"`)
	p.waitEvents("one")
	p.do(chromedp.SendKeys(chromedp.CSS("#add-topic"), "robot| a&b=ü |chatgpt"+kb.Enter))
	p.wait(`document.querySelectorAll(".chip[data-topic]").length === 3`)
	p.do(chromedp.SendKeys(chromedp.CSS("#add-user"), "jack"+kb.Enter))
	p.wait(`document.querySelector('.chip[data-user="jack"]')`)
	p.waitState("live")
	if got, want := p.query(), "user=jack&topics=chatgpt|robot|a%26b%3D%C3%BC"; got != want {
		t.Errorf("address %q, want %q", got, want)
	}
	g.send("a&b=ü", `"two"`)
	g.send("@jack", `"three"`)
	p.waitEvents("one", "two", "three")
	p.click(`.chip[data-topic="chatgpt"] button`)
	p.wait(`document.activeElement.closest(".chip").dataset.topic === "robot"`)
	p.waitState("live")
	g.send("chatgpt", `"unheard"`)
	g.send("robot", `"four"`)
	p.waitEvents("one", "two", "three", "four")
	queries := g.queries()
	if got := queries[1].Get("last_event_id"); got != last {
		t.Errorf("reopened after %q, want %q", got, last)
	}
	for _, name := range []string{"robot", "a&b=ü"} {
		p.click(`.chip[data-topic="` + name + `"] button`)
	}
	p.click(`.chip[data-user] button`)
	p.waitState("idle")
	p.wait(`document.querySelector("#add-user").offsetParent`)
	piped := openTab(t, browser, g.URL+"/?topic=a%7Cb&topics=c")
	piped.wait(`document.querySelector('.chip[data-topic="a|b"]')`)
	piped.waitState("live")
	if got, want := piped.query(), "topics=c&topic=a|b"; got != want {
		t.Errorf("address %q, want %q", got, want)
	}
}

func hearsTypes(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=job&events=progress|error|message")
	g.sendType("job", "progress", `1`)
	g.sendType("job", "other", `2`)
	g.send("job", `3`)
	p.waitEvents("1", "3")
	p.waitText("#events > li:first-child .type", "progress")
	p.do(chromedp.SendKeys(chromedp.CSS("#add-event"), "other"+kb.Enter))
	g.sendType("job", "other", `4`)
	p.waitEvents("1", "3", "4")
	p.click(`.chip[data-event="progress"] button`)
	p.fill("#publish-form [name=event]", "step") // what one publishes oneself is heard
	p.fill("#publish-form [name=data]", "5")
	p.click("#publish-form [type=submit]")
	g.sendType("job", "progress", `6`)
	g.send("job", `7`)
	p.waitEvents("1", "3", "4", "5", "7")
	if got, want := p.query(), "topics=job&events=other|step"; got != want {
		t.Errorf("address %q, want %q", got, want)
	}
	if n := len(g.queries()); n != 1 {
		t.Errorf("%d streams, want 1: types need no other", n)
	}
}

func showsSameWindow(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	g.send("t", `"before the first visit"`)
	p := live(t, browser, g, "topics=t")
	g.send("t", `"one"`)
	g.send("t", `"two"`)
	p.waitEvents("one", "two")
	p.do(chromedp.Reload())
	g.send("t", `"three"`)
	p.waitEvents("one", "two", "three")
	p.click("#clear")
	p.waitEvents()
	p.wait(`!document.querySelector("#empty").hidden`)
	g.send("t", `"four"`)
	p.waitEvents("four")
	p.do(chromedp.Reload())
	p.waitEvents("four")
	p.do(chromedp.Navigate(g.URL + "/?topics=t&last_event_id=1763870000003-0"))
	p.waitEvents("three", "four")
}

func keepsTheNewest(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
	for i := range 1200 {
		g.send("t", fmt.Sprintf(`{"n":%d}`, i))
	}
	p.wait(`document.querySelector("#events > li:last-child .data")?.textContent === '{"n": 1199}'`)
	p.wait(`document.querySelectorAll("#events > li").length === 500`)
	p.waitText("#events > li:first-child .data", `{"n": 700}`)
	p.waitText("#count", "1,200")
	p.do(chromedp.Reload())
	p.wait(`document.querySelectorAll("#events > li").length === 500`)
	p.waitText("#events > li:first-child .data", `{"n": 700}`)
	p.waitText("#count", "500") // asked for no more than it shows
}

func holdsBack(t *testing.T, browser context.Context) {
	const atEnd = `(() => { const s = document.querySelector("#scroller"); return s.scrollHeight - s.scrollTop - s.clientHeight < 2; })()`
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
	for range 60 {
		g.send("t", `"row"`)
	}
	p.wait(`document.querySelectorAll("#events > li").length === 60`)
	p.wait(atEnd)
	p.click("#pause")
	g.send("t", `"held"`)
	p.waitText("#held", "1 held back")
	p.wait(`document.querySelectorAll("#events > li").length === 60`)
	p.click("#pause")
	p.waitText("#events > li:last-child .data", "held")
	eval[int](p, `document.querySelector("#scroller").scrollTop = 100`)
	p.wait(`document.querySelector("#scroller").scrollTop === 100`)
	g.send("t", `"unseen"`)
	g.send("t", `"unseen"`)
	p.waitText("#more", "2 new")
	p.wait(`document.querySelector("#scroller").scrollTop === 100`)
	p.click("#more")
	p.wait(atEnd)
	p.wait(`document.querySelector("#more").hidden`)
	p.click("#clear")
	p.waitText("#count", "0")
	g.send("t", `"after"`)
	p.waitEvents("after")
}

func publishes(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "user=jack&topics=chatgpt|robot")
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

func sendsJSON(t *testing.T, browser context.Context) {
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
	p := live(t, browser, g, "topics=t")
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

func showsRefusedPublish(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
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

func sendsToken(t *testing.T, browser context.Context) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqw6RjayIsImV4cCI6NDEwMjQ0NDgwMH0.c2ln" // {"sub":"jäck","exp":4102444800}
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
	p.waitText("#access-summary", "no token")
	p.click("#access summary")
	p.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	p.wait(`document.querySelector("#access-summary").textContent.startsWith("as jäck until ")`)
	p.waitState("live")
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector('#publish-result[data-ok="true"]')`)
	p.do(chromedp.Reload())
	p.waitState("live")
	queries := g.queries()
	for i, want := range []string{"", token, token} {
		if got := queries[i].Get("access_token"); got != want {
			t.Errorf("stream %d with token %q, want %q", i, got, want)
		}
	}
	g.mu.Lock()
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
	leaked := openTab(t, browser, g.URL+"/?topics=t&access_token="+token)
	leaked.waitState("live")
	if got := leaked.query(); got != "topics=t" {
		t.Errorf("address %q: a token stays in it", got)
	}
}

func worksByKeyboard(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := openTab(t, browser, g.URL+"/")
	p.waitState("idle")
	focused := func(id string) {
		t.Helper()
		for range 40 {
			p.do(chromedp.KeyEvent(kb.Tab))
			if eval[string](p, `document.activeElement.id || document.activeElement.name || document.activeElement.textContent`) == id {
				if eval[string](p, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
					t.Errorf("%s has the focus and does not show it", id)
				}
				return
			}
		}
		t.Fatalf("%s cannot be reached by Tab", id)
	}
	focused("theme")
	focused("add-user")
	p.do(chromedp.KeyEvent("jack" + kb.Enter))
	p.wait(`document.querySelector('.chip[data-user="jack"]')`)
	focused("add-topic")
	p.do(chromedp.KeyEvent("robot" + kb.Enter))
	p.waitState("live")
	focused("pause")
	focused("scroller")
	focused("publish-data")
	p.do(chromedp.KeyEvent("typed"), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	p.waitEvents("typed")
	if got := g.bodies()[0]; !strings.Contains(got, `"topic":"robot","data":"typed"`) {
		t.Errorf("published %s", got)
	}
	focused("×") // around the page to the first chip
	p.do(chromedp.KeyEvent(kb.Enter))
	p.wait(`!document.querySelector(".chip[data-user]")`)
	p.wait(`document.activeElement.id === "add-user"`)
}

func fitsPhone(t *testing.T, browser context.Context) {
	g := newFakeGateway(t)
	p := live(t, browser, g, "user="+strings.Repeat("u", 200)+"&topics="+strings.Repeat("t", 250)+"|robot")
	p.do(chromedp.EmulateViewport(360, 740))
	g.send(strings.Repeat("t", 250), quote(strings.Repeat("x", 2000)))
	g.send("robot", `{"`+strings.Repeat("k", 300)+`":"`+strings.Repeat("v", 300)+`"}`)
	g.sendRaw("robot", "gap", `{"topic":"`+strings.Repeat("g", 250)+`"}`)
	p.wait(`document.querySelectorAll("#events > li").length === 3`)
	p.click("#access summary")
	for _, element := range []string{"document.documentElement", `document.querySelector("#scroller")`} {
		if wide := eval[int](p, element+".scrollWidth - "+element+".clientWidth"); wide > 0 {
			t.Errorf("%s is %d px too wide", element, wide)
		}
	}
	g.refuse(&refusal{http.StatusForbidden, "Forbidden", strings.Repeat("d", 300)})
	p.waitState("ended")
	p.wait(`document.documentElement.scrollWidth <= 360`)
}

func switchesTheme(t *testing.T, browser context.Context) {
	const ground = `getComputedStyle(document.body).backgroundColor`
	g := newFakeGateway(t)
	p := live(t, browser, g, "topics=t")
	p.prefer("prefers-color-scheme", "light")
	light := eval[string](p, ground)
	p.prefer("prefers-color-scheme", "dark", "prefers-reduced-motion", "reduce")
	p.wait(ground + ` !== ` + quote(light))
	p.click("#theme")
	p.wait(ground + ` === ` + quote(light))
	p.do(chromedp.Reload())
	p.wait(ground + ` === ` + quote(light))
	g.send("t", `1`)
	p.wait(`document.querySelector("#events > li")`)
	if got := eval[string](p, `getComputedStyle(document.querySelector("#events > li")).animationName`); got != "none" {
		t.Errorf("a row moves (%s) although the system asks for less motion", got)
	}
}
