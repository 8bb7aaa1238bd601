package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sse-gateway/internal/testkit"
)

// A Tab is a tab of a headless Chromium.
type Tab struct{ ctx context.Context }

// Chromium starts a Chromium with a profile of its own and returns its first tab.
func Chromium(t testing.TB) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testkit.Program(t, "chromium")),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.WindowSize(1200, 800),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, stop := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() {
		stop()
		stopAllocator()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &Tab{ctx}
}

// Another opens another tab of the same browser.
func (tab *Tab) Another(t testing.TB) *Tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(tab.ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	return &Tab{ctx}
}

// Do runs actions in a tab, and fails the test unless they are done within a time that is long for a browser.
func (tab *Tab) Do(t testing.TB, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, 2*wait)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Open loads a page.
func (tab *Tab) Open(t testing.TB, url string) {
	t.Helper()
	tab.Do(t, "open "+url, chromedp.Navigate(url))
}

// Eval evaluates a JavaScript expression in a tab.
func Eval[T any](t testing.TB, tab *Tab, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, 2*wait)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// Until waits until a JavaScript expression is true in a tab.
func (tab *Tab) Until(t testing.TB, timeout time.Duration, expression string) {
	t.Helper()
	Eventually(t, timeout, func() error {
		if !Eval[bool](t, tab, expression) {
			return fmt.Errorf("%s is false; the page's text:\n%.3000s", expression, Eval[string](t, tab, "document.body.innerText"))
		}
		return nil
	})
}

// Screenshot is a picture of the tab, in PNG.
func (tab *Tab) Screenshot(t testing.TB) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, 2*wait)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// firefoxPrefs keep Firefox from talking to anyone else.
const firefoxPrefs = `
user_pref("app.normandy.enabled", false);
user_pref("app.update.auto", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.region.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.search.update", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.push.connection.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("services.settings.server", "http://127.0.0.1:1");
user_pref("toolkit.telemetry.enabled", false);
`

// Firefox starts a headless Firefox with a profile of its own and a tab for each page.
func Firefox(t testing.TB, pages ...string) {
	t.Helper()
	profile := t.TempDir()
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.StartProcess(t, "firefox", []string{"MOZ_CRASHREPORTER_DISABLE=1"}, testkit.Program(t, "firefox-esr"),
		append([]string{"--headless", "--no-remote", "--profile", profile}, pages...)...)
}

// A Page is a web page with an EventSource that reports everything it gets.
type Page struct {
	Origin string // for GATEWAY_CORS_ORIGINS

	mu      sync.Mutex
	reports []Report // guarded by mu
}

// Report is what happened in the page.
type Report struct {
	Type   string // open, error, or the event's type
	Data   string // as the script got it
	ID     string // lastEventId
	State  int    // readyState: 0 connecting, 1 open, 2 closed
	Stream int    // number of the EventSource, from 0
}

const pageSource = `<!doctype html><meta charset="utf-8"><title>page</title><script>
const query = new URLSearchParams(location.search);
let queue = [], sending = false;
async function send() {
	if (sending) return;
	sending = true;
	while (queue.length > 0) {
		const batch = queue;
		queue = [];
		await fetch("/report", {method: "POST", body: JSON.stringify(batch)});
	}
	sending = false;
}
function open(n) {
	const source = new EventSource(query.get("source"));
	for (const type of ["open", "error", "message", "ready", "gap", "close", "position", "robot"]) {
		source.addEventListener(type, event => {
			queue.push({Type: type, Data: event.data || "", ID: event.lastEventId || "", State: source.readyState, Stream: n});
			send();
		});
	}
	return source;
}
// The others open once the first is there: before that, a browser does not know of HTTP/2 and opens many connections.
open(0).addEventListener("open", () => {
	for (let n = 1; n < Number(query.get("streams")); n++) open(n);
}, {once: true});
</script>`

// ServePage starts the server of a Page.
func ServePage(t testing.TB) *Page {
	t.Helper()
	p := &Page{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, pageSource)
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var batch []Report
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Errorf("report of the page: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reports = append(p.reports, batch...)
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	p.Origin = server.URL
	return p
}

// URL is the page's address, with streams EventSources of source.
func (p *Page) URL(source string, streams int) string {
	return fmt.Sprintf("%s/?streams=%d&source=%s", p.Origin, streams, url.QueryEscape(source))
}

// Reports are what the page has reported so far.
func (p *Page) Reports() []Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Report(nil), p.reports...)
}

// Wait waits until the reports of a type are n or more, and returns them.
func (p *Page) Wait(t testing.TB, kind string, n int) []Report {
	t.Helper()
	var found []Report
	Eventually(t, 60*time.Second, func() error {
		found = nil
		reports := p.Reports()
		for _, report := range reports {
			if report.Type == kind {
				found = append(found, report)
			}
		}
		if len(found) < n {
			return fmt.Errorf("%d of %d reports of %q; the last of all: %.2000v", len(found), n, kind, reports[max(0, len(reports)-10):])
		}
		return nil
	})
	return found
}
