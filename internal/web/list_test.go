package web_test

import (
	"fmt"
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
	p.waitText("#count", "1,200")
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
