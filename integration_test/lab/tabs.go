package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Tabs are pages that use gateway.js, each in a tab of its own. They report all that they hear, and do what they are told.
type Tabs struct {
	Origin string        // for GATEWAY_CORS_ORIGINS
	Token  func() string // gives a token to whoever is about to lose theirs; nil: none is needed

	mu      sync.Mutex
	notes   []Note              // guarded by mu
	waiting map[string][]Orders // by tab; guarded by mu
}

// A Note is what a tab reports.
type Note struct {
	Tab   string
	Life  float64 // tells what a tab says before a reload from what it says after
	Type  string  // event, gap, state, close, expiring; opens: it asks for a stream
	Value struct {
		ID, Name, Topic, URL string
		Data                 int
	}
}

// Orders are what a tab is told.
type Orders struct {
	Do     string   `json:"do"` // set, reload, vanish
	Topics []string `json:"topics,omitempty"`
}

const tabSource = `<!doctype html><meta charset="utf-8"><title>tab</title><script type="module">
const query = new URLSearchParams(location.search);
const tab = query.get("tab");
const request = fetch.bind(window);
let queue = [];
let vanishing = false;
const note = (type, value) => queue.push({Tab: tab, Life: performance.timeOrigin, Type: type, Value: value});
window.fetch = (url, init) => {
	if (url.includes("/subscribe?")) note("opens", {URL: url});
	return request(url, init);
};
// A tab that vanishes says no good-bye, as one that is killed does not.
addEventListener("pagehide", event => vanishing && event.stopImmediatePropagation());
addEventListener("pagehide", () => navigator.sendBeacon("/notes", JSON.stringify(queue)));
const {connect} = await import(query.get("gateway") + "/gateway.js");
const stream = connect({topics: query.get("topics").split("|"), token: query.get("token") ?? ""});
for (const type of ["event", "gap", "state", "close", "expiring"]) {
	stream.on(type, ({id, name, topic, data}) => note(type, {ID: id, Name: name, Topic: topic, Data: data}));
}
stream.on("expiring", async () => stream.set({token: await (await request("/token")).text()}));
const orders = {
	set: ({topics}) => stream.set({topics}),
	reload: () => location.reload(),
	vanish: () => { vanishing = true; location.replace("about:blank"); },
};
for (;;) {
	const batch = queue;
	queue = [];
	const answer = await request("/notes?tab=" + tab, {method: "POST", body: JSON.stringify(batch), keepalive: true});
	for (const order of await answer.json()) orders[order.do](order);
	await new Promise(resolve => setTimeout(resolve, 50));
}
</script>`

// ServeTabs starts the server of the pages.
func ServeTabs(t testing.TB) *Tabs {
	t.Helper()
	tabs := &Tabs{waiting: make(map[string][]Orders)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, tabSource)
	})
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tabs.Token()) })
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		var batch []Note
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Errorf("notes of a tab: %v", err)
		}
		tabs.mu.Lock()
		defer tabs.mu.Unlock()
		tabs.notes = append(tabs.notes, batch...)
		tab := r.URL.Query().Get("tab")
		_ = json.NewEncoder(w).Encode(append([]Orders{}, tabs.waiting[tab]...))
		if tab != "" {
			delete(tabs.waiting, tab)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	tabs.Origin = server.URL
	return tabs
}

// URL is the page of a tab.
func (tabs *Tabs) URL(tab, gateway, topics, token string) string {
	query := url.Values{"tab": {tab}, "gateway": {gateway}, "topics": {topics}, "token": {token}}
	return tabs.Origin + "/?" + query.Encode()
}

// Order tells a tab what to do.
func (tabs *Tabs) Order(tab string, orders Orders) {
	tabs.mu.Lock()
	defer tabs.mu.Unlock()
	tabs.waiting[tab] = append(tabs.waiting[tab], orders)
}

// Notes are what a tab has reported of a type, life by life, in the order in which it happened.
func (tabs *Tabs) Notes(tab, kind string) []Note {
	tabs.mu.Lock()
	defer tabs.mu.Unlock()
	var found []Note
	for _, note := range tabs.notes {
		if (tab == "" || note.Tab == tab) && note.Type == kind {
			found = append(found, note)
		}
	}
	slices.SortStableFunc(found, func(a, b Note) int { return cmp.Compare(a.Life, b.Life) })
	return found
}

// Leader is the tab that was the last to ask for a stream.
func (tabs *Tabs) Leader() string {
	tabs.mu.Lock()
	defer tabs.mu.Unlock()
	for _, note := range slices.Backward(tabs.notes) {
		if note.Type == "opens" {
			return note.Tab
		}
	}
	return ""
}

// WaitState waits until a tab is in a state.
func (tabs *Tabs) WaitState(t testing.TB, tab, state string) {
	t.Helper()
	Eventually(t, 60*time.Second, func() error {
		states := tabs.Notes(tab, "state")
		if len(states) == 0 || states[len(states)-1].Value.Name != state {
			return fmt.Errorf("tab %s is not %s, of %.1000v", tab, state, states)
		}
		return nil
	})
}

// Serials are the numbers that a tab has got on a topic.
func (tabs *Tabs) Serials(tab, topic string) []int {
	var serials []int
	for _, note := range tabs.Notes(tab, "event") {
		if note.Value.Topic == topic {
			serials = append(serials, note.Value.Data)
		}
	}
	return serials
}

// WaitSerials waits until a tab has got just the numbers from first to last on a topic, in order.
func (tabs *Tabs) WaitSerials(t testing.TB, tab, topic string, first, last int) {
	t.Helper()
	want := make([]int, 0, last-first+1)
	for n := first; n <= last; n++ {
		want = append(want, n)
	}
	Eventually(t, 60*time.Second, func() error {
		if got := tabs.Serials(tab, topic); !slices.Equal(got, want) {
			return fmt.Errorf("tab %s got on %s %v, want %d to %d", tab, topic, got, first, last)
		}
		return nil
	})
}
