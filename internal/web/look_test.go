package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func worksByKeyboard(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := openTab(t, b, g.URL+"/")
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

func fitsPhone(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "user="+strings.Repeat("u", 200)+"&topics="+strings.Repeat("t", 250)+"|robot")
	p.do(chromedp.EmulateViewport(360, 740))
	g.send(strings.Repeat("t", 250), quote(strings.Repeat("x", 2000)))
	g.send("robot", `{"`+strings.Repeat("k", 300)+`":"`+strings.Repeat("v", 300)+`"}`)
	g.sendRaw("robot", "gap", `{"topic":"`+strings.Repeat("t", 250)+`"}`)
	p.wait(`document.querySelectorAll("#events > li").length === 3`)
	p.wait(`!document.querySelector("#line").checkVisibility()`)
	p.click("#fold")
	p.click("#access summary")
	const wide = `[document.documentElement, document.querySelector("#scroller"), ...document.querySelectorAll(".data")]
		.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.tagName + "." + e.className)`
	for _, element := range eval[[]string](p, wide) {
		t.Errorf("%s has to be scrolled sideways", element)
	}
	g.refuse(&refusal{http.StatusForbidden, "Forbidden", strings.Repeat("d", 300)})
	p.waitState("refused")
	p.wait(`document.documentElement.scrollWidth <= 360`)
	p.click("#to-publish")
	p.wait(`document.activeElement.id === "publish-data"`)
	p.wait(`document.querySelector("#publish-form [type=submit]").getBoundingClientRect().bottom < innerHeight`)
}

func switchesTheme(t *testing.T, b *browser) {
	const ground = `getComputedStyle(document.body).backgroundColor`
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=t")
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

// lowContrast lists every element with text of its own whose contrast with what is behind it is below 4.5 (WCAG 2.2,
// 1.4.3). A canvas turns the colours into numbers, whatever way they were written.
const lowContrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const paint = (layers) => {
		for (canvas.fillStyle of layers) canvas.fillRect(0, 0, 1, 1);
		return canvas.getImageData(0, 0, 1, 1).data.slice(0, 3);
	};
	const luminance = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
		const c = rgb[i] / 255;
		return sum + weight * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
	}, 0);
	const found = [];
	for (const element of document.body.querySelectorAll("*")) {
		const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
		if (!(text || element.placeholder) || !element.checkVisibility()) continue;
		const layers = [];
		for (let e = element; e; e = e.parentElement) layers.unshift(getComputedStyle(e).backgroundColor);
		const color = getComputedStyle(element, text ? null : "::placeholder").color;
		const [one, other] = [luminance(paint(layers)), luminance(paint([...layers, color]))];
		const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
		if (ratio < 4.5) found.push(element.className + "#" + element.id + " " + element.textContent.slice(0, 20) + ": " + ratio.toFixed(2));
	}
	return found;
})()`

func hasContrast(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	names := strings.Split("a|b|c|d|e|f|g|h", "|") // one of each hue
	p := live(t, b, g, "user=jack&topics="+strings.Join(names, "|"))
	for _, name := range names {
		g.send(name, `{"k":["v",1,null]}`)
	}
	g.sendType("@jack", "progress", `"personal"`)
	g.sendRaw("a", "message", `{"topic":"a","data":"hi","from":"alice"}`)
	g.sendRaw("a", "gap", `{"topic":"a"}`)
	g.sendRaw("a", "close", `{"topic":"a"}`)
	p.wait(`document.querySelectorAll("#events > li").length === 12`)
	p.wait(`new Set([...document.querySelectorAll(".chip[data-topic]")].map((chip) => chip.dataset.hue)).size === 8`)
	p.click("#pause")
	p.click("#access summary")
	p.fill("#publish-form [name=data]", "[1]")
	p.click("#publish-form [type=submit]")
	p.wait(`document.querySelector("#publish-result[data-ok=true]")`)
	g.refuse(&refusal{http.StatusForbidden, "Forbidden", "Not yours."})
	p.waitState("refused")
	for _, theme := range []string{"light", "dark"} {
		p.prefer("prefers-color-scheme", theme, "prefers-reduced-motion", "reduce")
		for _, low := range eval[[]string](p, lowContrast) {
			t.Errorf("%s: %s", theme, low)
		}
	}
}

func keepsFocus(t *testing.T, b *browser) {
	g := newFakeGateway(t)
	p := live(t, b, g, "topics=a|b")
	held := func(what string) {
		t.Helper()
		p.wait(`document.activeElement !== document.body && document.activeElement.checkVisibility()`)
		if got := eval[string](p, `document.activeElement.tagName`); got == "BODY" {
			t.Errorf("after %s the focus is nowhere", what)
		}
	}
	p.fill("#add-user", "jack"+kb.Enter)
	held("setting the user")
	p.click(`.chip[data-user] button`)
	held("removing the user")
	p.click(`#since [data-since="all"]`)
	held("choosing a beginning")
	p.waitState("live") // a connection that changes takes away what was said of a publish
	p.click("#publish-form [type=submit]")
	held("publishing")
	p.wait(`document.querySelector("#publish-result[data-ok=true]")`)
	held("the answer")
	g.refuse(&refusal{http.StatusForbidden, "Forbidden", "No."})
	p.waitState("refused")
	g.refuse(nil)
	p.click("#reconnect")
	held("connecting again")
	p.waitState("live")
	held("the stream")
	p.click("#access summary")
	p.fill("#token", "x"+kb.Enter)
	p.click("#forget")
	held("forgetting the token")
}

func cutsNothingOff(t *testing.T, b *browser) {
	const reachable = `[...document.querySelectorAll("button, input, textarea, select, summary, pre")].filter((e) => {
		if (!e.checkVisibility()) return false;
		e.scrollIntoView({ block: "nearest" });
		const box = e.getBoundingClientRect();
		return box.bottom > innerHeight + 1 || box.top < -1 || box.right > innerWidth + 1;
	}).map((e) => e.id || e.textContent)`
	g := newFakeGateway(t)
	p := live(t, b, g, "user=jack&topics=chatgpt|robot")
	p.do(chromedp.EmulateViewport(1280, 720))
	g.send("robot", `"hi"`)
	p.waitEvents("hi")
	p.click("#access summary")
	for _, element := range eval[[]string](p, reachable) {
		t.Errorf("%s is cut off", element)
	}
	p.wait(`document.querySelector("#scroller").clientHeight > 200`)
	p.wait(`document.querySelector("#publish-form").parentElement.scrollTop === 0`)
	for _, element := range eval[[]string](p, `[...document.querySelectorAll("#publish-form, #publish-form *")]
		.filter((e) => e.checkVisibility() && e.getBoundingClientRect().bottom > innerHeight).map((e) => e.id || e.className)`) {
		t.Errorf("%s is below the screen", element)
	}
}
