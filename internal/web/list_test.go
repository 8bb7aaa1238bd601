package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func showsSameWindow(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	g.send("t", `"before the first visit"`)
	p := live(t, b, g, "topics=t")
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

func keepsTheNewest(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	for i := range 1200 {
		g.send("t", fmt.Sprintf(`{"n":%d}`, i))
	}
	p.wait(`document.querySelector("#events > li:last-child .data")?.textContent === '{"n": 1199}'`)
	p.wait(`document.querySelectorAll("#events > li").length === 500`)
	p.waitText("#events > li:first-child .data", `{"n": 700}`)
	p.waitText("#count", "1,200, last 500 shown")
	p.do(chromedp.Reload())
	p.wait(`document.querySelectorAll("#events > li").length === 500`)
	p.waitText("#events > li:first-child .data", `{"n": 700}`)
	p.waitText("#count", "500") // asked for no more than it shows
	p.click("#pause")
	for i := range 600 {
		g.send("t", fmt.Sprintf(`{"n":%d}`, 1200+i))
	}
	p.waitText("#held", "500 held back")
	p.waitText("#events > li:first-child .data", `{"n": 700}`)
	p.click("#pause")
	p.waitText("#events > li:first-child .data", `{"n": 1300}`)
	p.do(chromedp.Reload())
	p.wait(`document.querySelectorAll("#events > li").length === 500`)
	p.waitText("#count", "500")
	p.waitText("#events > li:first-child .data", `{"n": 1300}`)
}

func holdsBack(t *testing.T, b *browser) {
	const atEnd = `(() => { const s = document.querySelector("#scroller"); return s.scrollHeight - s.scrollTop - s.clientHeight < 2; })()`
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
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

func filtersByTopic(t *testing.T, b *browser) {
	const shown = `[...document.querySelectorAll("#events > li:not([hidden]) .data")].map((e) => e.textContent).join()`
	choose := func(p *tab, value string) {
		eval[bool](p, `(() => { const f = document.querySelector("#filter"); f.value = `+quote(value)+`; return f.dispatchEvent(new Event("change")); })()`)
	}
	g := newFakeGateway(t)
	p := live(t, b, g, "user=jack&topics=a|b")
	g.send("a", `1`)
	g.send("b", `2`)
	g.send("@jack", `3`)
	p.waitEvents("1", "2", "3")
	choose(p, "tb")
	p.wait(shown + ` === "2"`)
	g.send("a", `4`)
	g.send("b", `5`)
	p.wait(shown + ` === "2,5"`)
	choose(p, "ujack")
	p.wait(shown + ` === "3"`)
	p.click(`.chip[data-user] button`)
	p.wait(shown + ` === "1,2,3,4,5"`) // who is no longer listened to is no longer a choice
}

func countsUnseenInTheTitle(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	hide := func(hidden bool) {
		eval[bool](p, fmt.Sprintf(`Object.defineProperty(document, "hidden", { value: %v, configurable: true }), document.dispatchEvent(new Event("visibilitychange"))`, hidden))
	}
	hide(true)
	g.send("t", `1`)
	g.send("t", `2`)
	p.wait(`document.title === "(2) t · SSE gateway"`)
	hide(false)
	p.wait(`document.title === "t · SSE gateway"`)
}

func foldsAndCopies(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
	g.send("t", `{"list":[`+strings.Repeat(`1,`, 408)+`1]}`)
	p.waitText(".unfold", "Show all 413 lines")
	folded := eval[int](p, `document.querySelector(".data").clientHeight`)
	p.click(".unfold")
	p.wait(fmt.Sprintf(`document.querySelector(".data").clientHeight > %d`, 10*folded))
	p.waitText(".unfold", "Show the first 24 lines")
	eval[bool](p, `navigator.clipboard.writeText = async (text) => { window.copied = text; }, true`)
	eval[bool](p, `document.querySelector("#events .copy").click(), true`)
	p.waitText("#events .copy", "Copied")
	p.wait(`JSON.parse(window.copied).list.length === 409`)
	g.send("t", `"שלום abc"`)
	g.send("t", `"abc שלום"`)
	p.wait(`document.querySelectorAll("#events > li").length === 3`)
	for row, want := range map[int]string{2: "rtl", 3: "ltr"} {
		p.wait(fmt.Sprintf(`getComputedStyle(document.querySelector("#events > li:nth-child(%d) .data")).direction === %q`, row, want))
	}
}
