package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// resume opens a stream that goes on after an id, and ends with its first connection.
func resume(t *testing.T, base string, options lab.SubscribeOptions) *lab.Subscriber {
	t.Helper()
	options.Bases = []string{base}
	options.Once = true
	subscriber := lab.Subscribe(t, options)
	subscriber.WaitReady(t)
	return subscriber
}

// Every way to say where a stream begins, on another replica than the one that published.
func TestResume_FromEverywhere(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		replicas := startReplicas(t, 2, lab.StartRedis(t).Env(), engine)
		var all []string
		for n := range 30 {
			topic := []string{"a", "b", "c"}[n%3]
			all = append(all, lab.Publish(t, replicas[0].URL, topic, n))
			if n == 9 {
				lab.Pause(20 * time.Millisecond) // so that a time lies between two events
			}
		}
		between, err := lab.ParseID(all[10])
		if err != nil {
			t.Fatal(err)
		}
		moment := time.UnixMilli(int64(between.MS)).UTC().Format("2006-01-02T15:04:05.000Z")
		abc := []string{"a", "b", "c"}
		only := func(ids []string, first int, topics string) []string {
			var found []string
			for n, id := range ids {
				if slices.Contains([]byte(topics), "abc"[(first+n)%3]) {
					found = append(found, id)
				}
			}
			return found
		}
		tests := []struct {
			name    string
			options lab.SubscribeOptions
			want    []string
		}{
			{"Last-Event-ID", lab.SubscribeOptions{Topics: abc, LastEventID: all[4]}, all[5:]},
			{"last_event_id", lab.SubscribeOptions{Topics: abc, Query: "last_event_id=" + all[4]}, all[5:]},
			{"the header goes before the query", lab.SubscribeOptions{Topics: abc, LastEventID: all[7], Query: "last_event_id=" + all[4]}, all[8:]},
			{"since an id", lab.SubscribeOptions{Topics: abc, Since: all[4]}, all[5:]},
			{"since all", lab.SubscribeOptions{Topics: abc, Since: "all"}, all},
			{"since a time", lab.SubscribeOptions{Topics: abc, Since: moment}, all[10:]},
			{"since a duration", lab.SubscribeOptions{Topics: abc, Since: "10m"}, all},
			{"since now", lab.SubscribeOptions{Topics: abc, Since: "now"}, nil},
			{"fewer topics", lab.SubscribeOptions{Topics: []string{"b"}, LastEventID: all[3]}, only(all[4:], 4, "b")},
			{"more topics, one of them empty", lab.SubscribeOptions{Topics: []string{"a", "c", "empty"}, LastEventID: all[3]}, only(all[4:], 4, "ac")},
			{"from the last event", lab.SubscribeOptions{Topics: abc, LastEventID: all[29]}, nil},
		}
		for n, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				live := fmt.Sprint("live.", n)
				tt.options.Topics = append(slices.Clone(tt.options.Topics), live)
				subscriber := resume(t, replicas[1].URL, tt.options)
				last := lab.Publish(t, replicas[0].URL, live, "last")
				got := ids(subscriber.WaitFired(t, len(tt.want)+1))
				if !slices.Equal(got, append(slices.Clone(tt.want), last)) {
					t.Errorf("got %v, want %v and %s", got, tt.want, last)
				}
			})
		}
	})
}

// A stream that drops before its first event goes on from the position of ready, the user's inbox included.
func TestResume_BeforeTheFirstEvent(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, broker string) {
		gateway := start(t, broker)
		subscriber := lab.Subscribe(t, lab.SubscribeOptions{
			Bases: []string{gateway.URL}, Topics: []string{"quiet"}, User: "jack", Retry: 300 * time.Millisecond,
		})
		subscriber.WaitReady(t)
		subscriber.Drop()
		first := lab.Publish(t, gateway.URL, "quiet", 1)
		second, err := lab.TryPublish(t.Context(), gateway.URL, []byte(`{"user":"jack","data":2}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(subscriber.WaitFired(t, 2)); !slices.Equal(got, []string{first, second}) {
			t.Errorf("got %v, want %s and %s", got, first, second)
		}
		if state := subscriber.State(); state.Readies != 2 {
			t.Errorf("ready came %d times, want 2", state.Readies)
		}
	})
}

// What history has lost is told, and only that.
func TestResume_TellsGaps(t *testing.T) {
	overBothBrokers(t, func(t *testing.T, broker string) {
		gateway := start(t, broker, "GATEWAY_HISTORY_SIZE=10")
		before := lab.Publish(t, gateway.URL, "busy", "before")
		quiet := lab.Publish(t, gateway.URL, "quiet", 1)
		var busy []string
		for n := range 500 {
			busy = append(busy, lab.Publish(t, gateway.URL, "busy", n))
		}
		subscriber := resume(t, gateway.URL, lab.SubscribeOptions{Topics: []string{"busy", "quiet", "never"}, LastEventID: before})
		last := lab.Publish(t, gateway.URL, "quiet", "last")
		state := subscriber.WaitFor(t, wait, "the last event", func(state lab.State) bool { return state.LastID == last })
		var gaps []lab.Event
		var got []string
		for _, event := range state.Fired() {
			if event.Type == "gap" {
				gaps = append(gaps, event)
			} else {
				got = append(got, event.ID)
			}
		}
		if len(gaps) != 1 {
			t.Fatalf("%d gaps: %v", len(gaps), gaps)
		}
		var gap struct{ Topic, After, Oldest string }
		if err := json.Unmarshal([]byte(gaps[0].Data), &gap); err != nil {
			t.Fatal(err)
		}
		kept := slices.Index(busy, gap.Oldest)
		if gap.Topic != "busy" || gap.After != before || kept < 0 || kept > 490 {
			t.Errorf("gap %+v: after %s, %d events kept", gap, before, len(busy)-kept)
		}
		if want := append(append([]string{quiet}, busy[kept:]...), last); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		// A cursor that nobody can read is older than everything.
		odd := resume(t, gateway.URL, lab.SubscribeOptions{Topics: []string{"busy"}, LastEventID: "what?"})
		if got := odd.WaitFired(t, 1)[0]; got.Type != "gap" {
			t.Errorf("an unreadable cursor gets %+v first", got)
		}
	})
}

// A closed topic: the rest, then the end, then 204.
func TestResume_ClosedTopicsEndTheStream(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		replicas := startReplicas(t, 2, lab.StartRedis(t).Env(), engine)
		options := lab.SubscribeOptions{Bases: replicas.URLs(), Topics: []string{"tokens"}, Retry: 50 * time.Millisecond}
		live := lab.Subscribe(t, options)
		live.WaitReady(t)
		var published []string
		for n := range 5 {
			published = append(published, lab.Publish(t, replicas[0].URL, "tokens", n))
		}
		status, answer := lab.Post(t, replicas[1].URL+"/topics/"+url.PathEscape("tokens")+"/close", "")
		var closed struct{ ID string }
		if err := json.Unmarshal(answer, &closed); err != nil || status != http.StatusOK {
			t.Fatalf("close: status %d, %s, %v", status, answer, err)
		}
		published = append(published, closed.ID)
		if err := live.WaitEnd(t, wait); !errors.Is(err, lab.ErrStopped) {
			t.Errorf("the stream ended with %v, want 204", err)
		}
		if got := ids(live.State().Fired()); !slices.Equal(got, published) {
			t.Errorf("got %v, want %v", got, published)
		}
		late := lab.SubscribeOptions{Bases: replicas.URLs(), Topics: []string{"tokens"}, LastEventID: published[2], Retry: 50 * time.Millisecond}
		back := lab.Subscribe(t, late)
		if err := back.WaitEnd(t, wait); !errors.Is(err, lab.ErrStopped) {
			t.Errorf("the stream ended with %v, want 204", err)
		}
		if got := ids(back.State().Fired()); !slices.Equal(got, published[3:]) {
			t.Errorf("got %v, want %v", got, published[3:])
		}
		_, err := lab.TryPublish(t.Context(), replicas[0].URL, []byte(`{"topic":"tokens","data":1}`))
		if refused, ok := errors.AsType[*lab.StatusError](err); !ok || refused.Status != http.StatusConflict {
			t.Errorf("publish to a closed topic: %v, want 409", err)
		}
	})
}

// The browser's own EventSource goes on by itself when the replica dies that it is on.
func TestResume_InBrowsers(t *testing.T) {
	for _, browser := range []string{"Chromium", "Firefox"} {
		t.Run(browser, func(t *testing.T) {
			page := lab.ServePage(t)
			replicas := startReplicas(t, 2, lab.StartRedis(t).Env(), "GATEWAY_RETRY=1s", "GATEWAY_CORS_ORIGINS="+page.Origin)
			balancer := lab.StartBalancer(t, replicas)
			address := page.URL(balancer.URL+"/subscribe?topics=a|b&user=jack", 1)
			if browser == "Firefox" {
				lab.Firefox(t, address)
			} else {
				lab.Chromium(t).Open(t, address)
			}
			page.Wait(t, "ready", 1)
			on := slices.IndexFunc(replicas, func(g *lab.Gateway) bool { return g.Metric(t, "gateway_streams_open") == 1 })
			if on < 0 {
				t.Fatal("no replica has the stream")
			}
			other := replicas[1-on]
			// Before the first event has come, then with events, there and back.
			var want []string
			for round := range 3 {
				replicas[on].Kill()
				for n := range 5 {
					want = append(want, lab.Publish(t, other.URL, []string{"a", "b"}[n%2], n))
				}
				page.Wait(t, "ready", round+2)
				for n := range 5 {
					want = append(want, lab.Publish(t, other.URL, "a", n))
				}
				page.Wait(t, "message", len(want))
				replicas[on].Start(t)
				replicas[on].WaitReady(t)
				on, other = 1-on, replicas[on]
				lab.Eventually(t, wait, func() error { // the balancer has seen that it is back
					if status := balancerStatus(t, balancer); status != http.StatusOK {
						return fmt.Errorf("the balancer answers %d", status)
					}
					return nil
				})
			}
			var got []string
			for _, report := range page.Wait(t, "message", len(want)) {
				got = append(got, report.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the page got %v, want %v", got, want)
			}
			if gaps := page.Wait(t, "gap", 0); len(gaps) > 0 {
				t.Errorf("the page was told gaps: %v", gaps)
			}
		})
	}
}

func balancerStatus(t *testing.T, balancer *lab.Balancer) int {
	t.Helper()
	status, _ := lab.Get(t, balancer.URL+"/readyz")
	return status
}
