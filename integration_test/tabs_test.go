package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
	"sse-gateway/internal/broker/redis/redistest"
)

// inBrowsers runs a test in Chromium and in Firefox. open opens a tab for each page.
func inBrowsers(t *testing.T, test func(t *testing.T, open func(pages ...string))) {
	inChromium(t, test)
	t.Run("Firefox", func(t *testing.T) {
		test(t, func(pages ...string) { lab.Firefox(t, pages...) })
	})
}

func inChromium(t *testing.T, test func(t *testing.T, open func(pages ...string))) {
	t.Run("Chromium", func(t *testing.T) {
		first := lab.Chromium(t)
		test(t, func(pages ...string) {
			for _, page := range pages {
				first.Another(t).Open(t, page)
			}
		})
	})
}

// A tabRun is a gateway and the tabs that listen to it.
type tabRun struct {
	*lab.Tabs
	t       *testing.T
	gateway *lab.Gateway
}

// startTabs starts a gateway, and opens tabs "0", "1", …, each of which listens to "all" and to a topic of its own, "t0", "t1", …
func startTabs(t *testing.T, open func(...string), count int, token func() string, env ...string) *tabRun {
	t.Helper()
	tabs := lab.ServeTabs(t)
	tabs.Token = token
	run := &tabRun{tabs, t, start(t, append(env, "GATEWAY_CORS_ORIGINS="+tabs.Origin, "GATEWAY_HEARTBEAT=1s", "GATEWAY_RETRY=200ms")...)}
	first := ""
	if token != nil {
		first = token()
	}
	var pages []string
	for n := range count {
		tab := fmt.Sprint(n)
		pages = append(pages, tabs.URL(tab, run.gateway.URL, "all|t"+tab, first))
	}
	if token == nil {
		run.publish(count, -1, -1) // a partition of a Cluster that is born later may tell a gap to who was there before
	}
	open(pages...)
	for n := range count {
		run.WaitState(t, fmt.Sprint(n), "live")
	}
	run.waitStreams(1)
	return run
}

func (r *tabRun) waitStreams(want int) {
	r.t.Helper()
	lab.Eventually(r.t, 30*time.Second, func() error {
		if open := r.gateway.Metric(r.t, "gateway_streams_open"); open != float64(want) {
			return fmt.Errorf("%v streams are open, want %d", open, want)
		}
		return nil
	})
}

// publish publishes the numbers from first to last to "all", and to the tabs' own topics.
func (r *tabRun) publish(tabs, first, last int) {
	r.t.Helper()
	for n := first; n <= last; n++ {
		lab.Publish(r.t, r.gateway.URL, "all", n)
		for tab := range tabs {
			lab.Publish(r.t, r.gateway.URL, fmt.Sprint("t", tab), n)
		}
	}
}

// waitAll waits until a tab has everything up to last, once.
func (r *tabRun) waitAll(tab string, last int) {
	r.t.Helper()
	r.WaitSerials(r.t, tab, "all", 0, last)
	r.WaitSerials(r.t, tab, "t"+tab, 0, last)
	if gaps := r.Notes(tab, "gap"); len(gaps) > 0 {
		r.t.Errorf("tab %s was told of gaps: %v", tab, gaps)
	}
}

func TestTabs_ShareOneStreamThatOutlivesItsReader(t *testing.T) {
	inBrowsers(t, func(t *testing.T, open func(...string)) {
		const count = 12
		run := startTabs(t, open, count, nil)
		alive := make(map[string]bool)
		for n := range count {
			alive[fmt.Sprint(n)] = true
		}
		last := -1
		for range 3 { // each time the reader vanishes while events come
			run.publish(count, last+1, last+10)
			reader := run.Leader()
			run.Order(reader, lab.Orders{Do: "vanish"})
			delete(alive, reader)
			lab.Eventually(t, 60*time.Second, func() error {
				run.publish(count, last+11, last+11)
				last++
				if run.Leader() == reader {
					return fmt.Errorf("tab %s reads the stream, and should have gone", reader)
				}
				return nil
			})
			last += 10
		}
		run.publish(count, last+1, last+10)
		last += 10
		for tab := range alive {
			run.waitAll(tab, last)
		}
		run.waitStreams(1)
		for tab := range alive {
			if n := len(run.Notes(tab, "event")); n != 2*(last+1) {
				t.Errorf("tab %s got %d events, want %d: only its own", tab, n, 2*(last+1))
			}
		}
	})
}

func TestTabs_GoOnThroughReloads(t *testing.T) {
	inBrowsers(t, func(t *testing.T, open func(...string)) { goesOnThroughReloads(t, open) })
	// There a position has an id for each partition.
	t.Run("on a Redis Cluster", func(t *testing.T) {
		inChromium(t, func(t *testing.T, open func(...string)) {
			goesOnThroughReloads(t, open, "GATEWAY_REDIS_URL="+redistest.StartCluster(t))
		})
	})
}

func goesOnThroughReloads(t *testing.T, open func(...string), env ...string) {
	const count = 3
	run := startTabs(t, open, count, nil, env...)
	last := -1
	for round := range 2 * count { // among them the one that reads the stream
		tab := fmt.Sprint(round % count)
		run.Order(tab, lab.Orders{Do: "reload"})
		before := len(run.Notes(tab, "state"))
		lab.Eventually(t, 60*time.Second, func() error {
			last++
			run.publish(count, last, last)
			if len(run.Notes(tab, "state")) == before {
				return fmt.Errorf("tab %s does not reload", tab)
			}
			return nil
		})
		run.WaitState(t, tab, "live")
	}
	run.publish(count, last+1, last+1)
	for n := range count {
		run.waitAll(fmt.Sprint(n), last+1)
	}
	run.waitStreams(1)
}

// A tab that asks for what it may not have is told so; the others lose nothing by it.
func TestTabs_OneThatIsRefusedStopsNobody(t *testing.T) {
	inBrowsers(t, func(t *testing.T, open func(...string)) {
		const count = 3
		run := startTabs(t, open, count, nil, "GATEWAY_TOPICS=all,t*")
		last := 4
		run.publish(count, 0, last)
		for _, tab := range []string{"0", "1", "2"} { // among them the one that reads the stream
			run.Order(tab, lab.Orders{Do: "set", Topics: []string{"all", "t" + tab, "secret"}})
			run.WaitState(t, tab, "refused")
			run.publish(count, last+1, last+5)
			last += 5
			run.Order(tab, lab.Orders{Do: "set", Topics: []string{"all", "t" + tab}})
			run.WaitState(t, tab, "live")
		}
		for n := range count {
			run.waitAll(fmt.Sprint(n), last)
		}
		run.waitStreams(1)
	})
}

func TestTabs_ChangeTheirTopicsInFlight(t *testing.T) {
	inBrowsers(t, func(t *testing.T, open func(...string)) {
		const count = 3
		run := startTabs(t, open, count, nil)
		run.publish(count, 0, 9)
		asks := func(extra bool) {
			t.Helper()
			lab.Eventually(t, 30*time.Second, func() error {
				opens := run.Notes(run.Leader(), "opens")
				if asked := opens[len(opens)-1].Value.URL; strings.Contains(asked, "topic=extra") != extra {
					return fmt.Errorf("the stream is %s", asked)
				}
				return nil
			})
		}
		run.Order("1", lab.Orders{Do: "set", Topics: []string{"all", "t1", "extra"}})
		asks(true)
		for n := range 10 {
			lab.Publish(t, run.gateway.URL, "extra", n)
			run.publish(count, 10+n, 10+n)
		}
		run.WaitSerials(t, "1", "extra", 0, 9)
		run.Order("1", lab.Orders{Do: "set", Topics: []string{"all", "t1"}})
		asks(false)
		lab.Publish(t, run.gateway.URL, "extra", 10)
		run.publish(count, 20, 29)
		for n := range count {
			run.waitAll(fmt.Sprint(n), 29)
		}
		if got := run.Serials("1", "extra"); len(got) != 10 {
			t.Errorf("tab 1 got %v of the topic that it had left", got)
		}
		run.waitStreams(1)
	})
}

func TestTabs_SayWhenNothingIsHeard(t *testing.T) {
	inBrowsers(t, func(t *testing.T, open func(...string)) {
		run := startTabs(t, open, 2, nil)
		run.gateway.Freeze(t)
		for _, tab := range []string{"0", "1"} {
			lab.Eventually(t, 30*time.Second, func() error {
				if states := run.Notes(tab, "state"); !slices.ContainsFunc(states, func(n lab.Note) bool { return n.Value.Name == "silent" }) {
					return fmt.Errorf("tab %s does not say that it hears nothing: %v", tab, states)
				}
				return nil
			})
		}
		run.gateway.Thaw(t)
		run.publish(2, 0, 9)
		for _, tab := range []string{"0", "1"} {
			run.waitAll(tab, 9)
			run.WaitState(t, tab, "live")
		}
	})
}

func TestTabs_RenewTheirToken(t *testing.T) {
	inBrowsers(t, func(t *testing.T, open func(...string)) {
		const key = "a secret of the tabs, of 32 bytes at least"
		token := func() string {
			claims := jwt.MapClaims{"sub": "jack", "subscribe": []string{"*"}, "publish": []string{"*"}, "exp": time.Now().Add(8 * time.Second).Unix()}
			signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(key))
			if err != nil {
				t.Error(err)
			}
			return signed
		}
		run := startTabs(t, open, 3, token, "GATEWAY_AUTH=jwt", "GATEWAY_JWT_KEY="+key)
		lab.Eventually(t, 60*time.Second, func() error {
			if n := len(run.Notes("2", "expiring")); n < 3 {
				return fmt.Errorf("told %d times that the token expires, want 3", n)
			}
			return nil
		})
		if states := run.Notes("", "state"); slices.ContainsFunc(states, func(n lab.Note) bool { return n.Value.Name == "refused" }) {
			t.Errorf("a tab was refused: %v", states)
		}
		run.waitStreams(1)
	})
}
