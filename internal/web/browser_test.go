package web_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const patience = 30 * time.Second // for anything that the page is to do

// browser is a running Chromium.
type browser struct{ ctx context.Context }

// startBrowser starts a headless Chromium that ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("this test needs Chromium: apt-get install chromium (%v)", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"), chromedp.WindowSize(1280, 800))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end the browser: %v", err)
		}
		cancel()
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return &browser{ctx}
}

// tab is one page in the browser. What goes wrong in it – a script's error, a violation of the policy, a dialog –
// fails the test when the tab is closed.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// openTab opens a tab with a storage of its own.
func openTab(t *testing.T, b *browser, url string) *tab {
	t.Helper()
	p := &tab{t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.hear))
	p.ctx = ctx
	t.Cleanup(func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, fault := range p.faults {
			t.Errorf("in the page: %s", fault)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // a tab lives as long as the context of its first run: not one with a deadline
		t.Fatalf("open a tab: %v", err)
	}
	p.do(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(url))
	return p
}

func (p *tab) hear(event any) {
	fault := ""
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = event.ExceptionDetails.Text
		if exception := event.ExceptionDetails.Exception; exception != nil {
			fault += " " + exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		fault = "console." + string(event.Type)
	case *log.EventEntryAdded:
		// A refused or cut request is what some tests are about; the browser logs each.
		if event.Entry.Source != log.EntrySourceNetwork {
			fault = string(event.Entry.Source) + ": " + event.Entry.Text
		}
	case *page.EventJavascriptDialogOpening:
		fault = "dialog: " + event.Message
	}
	if fault != "" {
		p.mu.Lock()
		p.faults = append(p.faults, fault)
		p.mu.Unlock()
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval runs an expression in the page and decodes its value.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// wait waits until an expression is true in the page.
func (p *tab) wait(expression string) {
	p.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !eval[bool](p, "Boolean("+expression+")") {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("the page never came to %s; it says %q", expression, eval[string](p, "document.body.innerText"))
		}
	}
}

// waitText waits until an element's text is the one that is wanted.
func (p *tab) waitText(selector, want string) {
	p.t.Helper()
	p.wait("document.querySelector(" + quote(selector) + ")?.textContent === " + quote(want))
}

func (p *tab) waitState(state string) {
	p.t.Helper()
	p.wait(`document.querySelector("#state").dataset.state === ` + quote(state))
}

// waitEvents waits until the list holds just these data, in this order.
func (p *tab) waitEvents(want ...string) {
	p.t.Helper()
	list, err := json.Marshal(append([]string{}, want...)) // no events are [], not null
	if err != nil {
		p.t.Fatal(err)
	}
	p.wait(`JSON.stringify([...document.querySelectorAll("#events > li .data")].map((e) => e.textContent)) === ` + quote(string(list)))
}

// fill types into a field, over what is there.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	field := "document.querySelector(" + quote(selector) + ")"
	eval[bool](p, field+".focus(), "+field+".select(), true")
	p.do(chromedp.KeyEvent(kb.Backspace + text))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// prefer sets the system's preferences as CSS sees them, as pairs of feature and value.
func (p *tab) prefer(pairs ...string) {
	p.t.Helper()
	var features []*emulation.MediaFeature
	for pair := range slices.Chunk(pairs, 2) {
		features = append(features, &emulation.MediaFeature{Name: pair[0], Value: pair[1]})
	}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// query is the page's own, as the address bar has it.
func (p *tab) query() string {
	p.t.Helper()
	return strings.TrimPrefix(eval[string](p, "location.search"), "?")
}
