package integration_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sse-gateway/integration_test/lab"
)

// screenshot is where TestPage_TwoUsersOnTwoReplicas leaves a picture of the page:
// go test ./integration_test -run TwoUsers -args -screenshot $PWD/docs/screenshot.png
var screenshot = flag.String("screenshot", "", "write a screenshot of the page to this `file`")

// eventsOf is a JavaScript expression for the data of the page's events, in order.
const eventsOf = `[...document.querySelectorAll('#events > li[data-kind=event]')].map(e => (e.dataset.topic || '@' + e.dataset.user) + ': ' + e.querySelector('.data').textContent)`

func waitState(t *testing.T, tab *lab.Tab, state string, timeout time.Duration) {
	t.Helper()
	tab.Until(t, timeout, fmt.Sprintf(`document.querySelector('#state').dataset.state === %q`, state))
}

func waitEvents(t *testing.T, tab *lab.Tab, want ...string) {
	t.Helper()
	lab.Eventually(t, wait, func() error {
		if got := lab.Eval[[]string](t, tab, eventsOf); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("the page shows %q, want %q", got, want)
		}
		return nil
	})
}

func TestPage_TwoUsersOnTwoReplicas(t *testing.T) {
	replicas := startReplicas(t, 2, lab.StartRedis(t).Env())
	jack := lab.Chromium(t)
	huoyijie := jack.Another(t)
	jack.Open(t, replicas[0].URL+"/?user=jack&topics=chatgpt|robot")
	huoyijie.Open(t, replicas[1].URL+"/?user=huoyijie&topics=chatgpt")
	waitState(t, jack, "live", wait)
	waitState(t, huoyijie, "live", wait)

	lab.Publish(t, replicas[1].URL, "robot", "hi robot")
	lab.Publish(t, replicas[0].URL, "chatgpt", "<b>hello</b> & welcome")
	const markup = "chatgpt: <b>hello</b> & welcome"
	waitEvents(t, jack, "robot: hi robot", markup)
	waitEvents(t, huoyijie, markup)
	if lab.Eval[int](t, jack, `document.querySelectorAll('#events b').length`) != 0 {
		t.Error("data is shown as markup")
	}

	// From page to page, to a user.
	huoyijie.Do(
		t, "publish to jack",
		chromedp.SendKeys("#publish-user", "jack"),
		chromedp.SendKeys("#publish-data", "lunch?"),
		chromedp.Click("#publish-form button[type=submit]"),
	)
	waitEvents(t, jack, "robot: hi robot", markup, "@jack: lunch?")
	huoyijie.Until(t, wait, `document.querySelector('#publish-result').dataset.ok === 'true'`)
	waitEvents(t, huoyijie, markup)

	// A problem is told.
	huoyijie.Do(
		t, "publish a reserved event type",
		chromedp.SendKeys("#publish-event", "ready"),
		chromedp.SendKeys("#publish-data", "again"),
		chromedp.Click("#publish-form button[type=submit]"),
	)
	huoyijie.Until(t, wait, `document.querySelector('#publish-result').dataset.ok === 'false' && document.querySelector('#publish-result').textContent.includes('event')`)

	takeScreenshot(t, jack, replicas)
}

func takeScreenshot(t *testing.T, tab *lab.Tab, replicas lab.Replicas) {
	t.Helper()
	if *screenshot == "" {
		return
	}
	lab.Publish(t, replicas[1].URL, "chatgpt", map[string]any{"delta": "Exact resume", "tokens": 3})
	lab.Publish(t, replicas[0].URL, "robot", "Battery at 80 %")
	tab.Until(t, wait, `document.querySelectorAll('#events > li[data-kind=event]').length === 5`)
	if err := os.WriteFile(*screenshot, tab.Screenshot(t), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPage_SaysWhatItsConnectionDoes(t *testing.T) {
	redis := lab.StartRedis(t, durable()...)
	gateway := start(t, redis.Env(), "GATEWAY_RETRY=1s")
	tab := lab.Chromium(t)
	tab.Open(t, gateway.URL+"/?user=jack&topics=robot")
	waitState(t, tab, "live", wait)
	lab.Publish(t, gateway.URL, "robot", "before")
	waitEvents(t, tab, "robot: before")
	gateway.Kill()
	waitState(t, tab, "reconnecting", wait)
	gateway.Start(t)
	gateway.WaitReady(t)
	lab.Publish(t, gateway.URL, "robot", "meanwhile")
	waitState(t, tab, "live", wait)
	waitEvents(t, tab, "robot: before", "robot: meanwhile")
}

// The page's own policy must not stop it from working; nothing may come from elsewhere.
func TestPage_LoadsNothingFromElsewhere(t *testing.T) {
	gateway := start(t)
	tab := lab.Chromium(t)
	tab.Open(t, gateway.URL+"/?user=jack&topics=robot")
	waitState(t, tab, "live", wait)
	loaded := lab.Eval[[]string](t, tab, `performance.getEntriesByType('resource').map(e => e.name)`)
	if len(loaded) == 0 {
		t.Error("the page has loaded nothing")
	}
	for _, url := range loaded {
		if len(url) < len(gateway.URL) || url[:len(gateway.URL)] != gateway.URL {
			t.Errorf("the page has loaded %s", url)
		}
	}
	// Phone width: nothing is cut off at the side.
	tab.Do(t, "look through a phone", chromedp.EmulateViewport(360, 740))
	if wide := lab.Eval[int](t, tab, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("the page is %d pixels wide on a phone of 360", wide)
	}
}
