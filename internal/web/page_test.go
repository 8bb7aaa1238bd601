package web_test

import (
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
	b := startBrowser(t)
	parts := []struct {
		name string
		run  func(*testing.T, *browser)
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
		{"hears every type of event", hearsTypes},
		{"has words of its own for each state", hasWordsForEachState},
		{"refuses a name that is none by itself", refusesNames},
		{"starts where it is told", startsSince},
		{"filters by topic", filtersByTopic},
		{"counts what was not seen in the title", countsUnseenInTheTitle},
		{"folds long data, copies it, and aligns text by its direction", foldsAndCopies},
		{"asks for what a publish lacks", asksForTarget},
		{"gives up waiting for an answer to a publish", timesOut},
		{"keeps the focus on what is there", keepsFocus},
		{"cuts nothing off on a small screen", cutsNothingOff},
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
		{"has enough contrast in both themes", hasContrast},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) { part.run(t, b) })
	}
}

// live opens the page at a query and waits until its stream is open.
func live(t *testing.T, b *browser, g *fakeGateway, query string) *tab {
	t.Helper()
	p := openTab(t, b, g.URL+"/?"+query)
	p.waitState("live")
	return p
}

func showsEvents(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	huoyijie := live(t, b, g, "user=huoyijie&topics=chatgpt")
	jack := live(t, b, g, "user=jack&topics=chatgpt|robot")
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

func showsDataAsSent(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
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

func showsScriptAsText(t *testing.T, b *browser) {
	const script = `<img src=x onerror=alert(1)><script>alert(2)</script>`
	g := newFakeGateway(t)
	query := fmt.Sprintf("user=%[1]s&topics=%[1]s&events=%[1]s&since=%[1]s", `%3Cimg src=x onerror=alert(1)%3E%3Cscript%3Ealert(2)%3C/script%3E`)
	p := live(t, b, g, query)
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

func notesWhatTheGatewaySays(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "user=jack&topics=a|b")
	g.sendRaw("a", "gap", `{"topic":"a","after":"1763869000000-0","oldest":"1763869500000-0"}`)
	g.sendRaw("@jack", "gap", `{"user":"jack","after":"1763869000000-0"}`)
	g.sendRaw("a", "position", `{}`)
	g.sendRaw("a", "expiring", `{"expires":"soon"}`)
	g.sendRaw("a", "close", `{"topic":"a"}`)
	p.waitEvents(
		"Events of a may be missing after 1763869000000-0; the oldest kept is 1763869500000-0.",
		"Events of jack (personal) may be missing after 1763869000000-0; nothing is kept.",
		"Your access ends soon: enter a new token to stay connected.",
		"a is closed: nothing more will come.")
	p.wait(`document.querySelector("#access").open`)
	g.sendRaw("b", "expiring", `{"expires":"2026-11-23T08:00:00Z"}`)
	p.wait(`/ ends at \d\d:\d\d:\d\d /.test(document.querySelector("#events > li:last-child .data").textContent)`)
	p.wait(`document.querySelector('#events > li[data-type="expiring"]').dataset.id === ""`)
	p.wait(`document.querySelector('.chip.closed[data-topic="a"]') && !document.querySelector('.closed[data-topic="b"]')`)
	p.wait(`document.querySelectorAll('#events > li[data-kind="note"]').length === 5`)
	p.waitText("#count", "0")
}

func reconnects(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	g.retry = 1500
	p := live(t, b, g, "topics=t")
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
func waitsForReady(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
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

func tellsWhyRefused(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	g.refuse(&refusal{http.StatusForbidden, "Forbidden", "The token does not allow topic \"robot\"."})
	p := openTab(t, b, g.URL+"/?topics=robot")
	p.waitState("refused")
	p.waitText("#problem-title", "Forbidden")
	p.waitText("#problem-detail", `The token does not allow topic "robot".`)
	if n := len(g.queries()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	g.refuse(nil)
	p.click("#reconnect")
	p.waitState("live")
	p.wait(`document.querySelector("#problem").hidden`)
	g.send("robot", `"at last"`)
	p.waitEvents("at last")
	g.refuse(&refusal{http.StatusUnauthorized, "Unauthorized", "Send a token."})
	p.waitState("refused")
	p.wait(`document.querySelector("#access").open`)
}

func endsWhenClosed(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=job")
	g.send("job", `"done"`)
	last := g.sendRaw("job", "close", `{"topic":"job"}`)
	p.waitEvents("done", "job is closed: nothing more will come.")
	g.refuse(&refusal{status: http.StatusNoContent})
	p.waitState("closed")
	p.waitText("#problem-title", "Closed.")
	queries := g.queries()
	if got := queries[len(queries)-1].Get("last_event_id"); got != last {
		t.Errorf("asked for the reason after %q, want %q: an older cursor would be granted a stream", got, last)
	}
}

func changesSubscription(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=chatgpt")
	last := g.send("chatgpt", `"one"`)
	p.waitEvents("one")
	p.do(chromedp.SendKeys(chromedp.CSS("#add-topic"), "robot, a&b=ü |chatgpt"+kb.Enter))
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
	piped := openTab(t, b, g.URL+"/?topic=a%7Cb&topics=c")
	piped.wait(`document.querySelector('.chip[data-topic="a|b"]')`)
	piped.waitState("live")
	if got, want := piped.query(), "topics=c&topic=a|b"; got != want {
		t.Errorf("address %q, want %q", got, want)
	}
}

func hearsTypes(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=job&events=progress")
	g.sendType("job", "progress", `1`)
	g.sendType("job", "error", `2`)
	g.send("job", `3`)
	p.waitEvents("1", "2", "3")
	p.waitText("#events > li:first-child .type", "progress")
	if got := p.query(); got != "topics=job" {
		t.Errorf("address %q: types need not be asked for", got)
	}
}

// said is all that the page says of its connection.
const said = `[document.querySelector("#state").dataset.state, document.querySelector("#state-text").textContent,
	document.querySelector("#empty-title").textContent, document.querySelector("#problem").hidden ? "" : document.querySelector("#problem-title").textContent,
	document.querySelector("#problem").hidden ? "" : document.querySelector("#reconnect").textContent].join(" | ")`

func hasWordsForEachState(t *testing.T, b *browser) {
	table := []struct {
		want  string
		enter func(g *fakeGateway)
		query string
	}{
		{"idle | Idle | Nothing to listen to yet |  | ", func(*fakeGateway) {}, ""},
		{"connecting | Connecting | Connecting |  | ", func(g *fakeGateway) { g.refuse(&refusal{status: -1}) }, "topics=t"},
		{"live | Live | Listening |  | ", func(*fakeGateway) {}, "topics=t"},
		{"silent | No sign of life | Nothing is heard |  | ", func(g *fakeGateway) { g.heartbeat = 300 }, "topics=t"},
		{"reconnecting | Reconnecting | Cut off |  | ", func(g *fakeGateway) { g.setDown(true) }, "topics=t"},
		{"refused | Refused | Not listening | Forbidden | Try again", func(g *fakeGateway) { g.refuse(&refusal{http.StatusForbidden, "Forbidden", "No."}) }, "topics=t"},
		{"refused | Refused | Not listening | Bad Request | Try again", func(g *fakeGateway) { g.refuse(&refusal{http.StatusBadRequest, "Bad Request", "No."}) }, "topics=t"},
		{"closed | Closed | Closed | Closed. | Look again", func(g *fakeGateway) { g.refuse(&refusal{status: http.StatusNoContent}) }, "topics=t"},
	}
	for _, row := range table {
		g := newFakeGateway(t)
		row.enter(g)
		p := openTab(t, b, g.URL+"/?"+row.query)
		p.wait(said + " === " + quote(row.want))
		if state, _, _ := strings.Cut(row.want, " "); state == "silent" {
			p.wait(`/^for \d+ s$/.test(document.querySelector("#state-detail").textContent)`)
			g.send("t", `1`)
			p.waitState("live")
		}
	}
}

func refusesNames(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	p.fill("#add-topic", "good, @bad, "+strings.Repeat("x", 256)+", fine"+kb.Enter)
	p.wait(`document.querySelector('.chip[data-topic="fine"]') && document.querySelector('.chip[data-topic="good"]')`)
	p.wait(`document.querySelectorAll(".chip[data-topic]").length === 3`)
	p.waitText("#chip-fault", "“@bad” begins with @, as no topic does; “xxxxxxxxxxxxxxxxxxxx…” is longer than 255 bytes.")
	p.wait(`document.querySelector("#add-topic").value.startsWith("@bad, xxx")`)
	p.fill("#add-topic", "b")
	p.waitText("#chip-fault", "")
}

func startsSince(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	g.send("t", `1`)
	p.waitEvents("1")
	for _, since := range []string{"10m", "last:50", "all", "now"} {
		p.click(`#since [data-since="` + since + `"]`)
		p.waitEvents()
		p.wait(`document.querySelector("#since [aria-pressed=true]").dataset.since === ` + quote(since))
		p.waitState("live")
		queries := g.queries()
		last := queries[len(queries)-1]
		if got := last.Get("since"); (got != since && since != "now") || last.Has("last_event_id") {
			t.Errorf("chose %s: asked for %v", since, last)
		}
	}
	if got := p.query(); got != "topics=t" {
		t.Errorf("address %q, want topics=t", got)
	}
}
