package lab

import (
	"testing"
)

func TestBrowsers_ReportWhatTheirEventSourceGets(t *testing.T) {
	for _, browser := range []string{"Chromium", "Firefox"} {
		t.Run(browser, func(t *testing.T) {
			page := ServePage(t)
			address := page.URL(page.Origin+"/nothing", 1)
			if browser == "Firefox" {
				Firefox(t, address)
			} else {
				Chromium(t).Open(t, address)
			}
			if got := page.Wait(t, "error", 1)[0]; got.State != 2 {
				t.Errorf("an EventSource that gets 404 is in state %d, want 2: closed", got.State)
			}
		})
	}
}
