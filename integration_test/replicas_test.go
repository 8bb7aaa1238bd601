package integration_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

func TestReplicas_EveryEventReachesEverySubscriberAnywhere(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		replicas := startReplicas(t, 3, lab.StartRedis(t).Env(), engine)
		var jacks, others []*lab.Subscriber
		for _, replica := range replicas {
			for range 2 { // tabs
				jacks = append(jacks, lab.Subscribe(t, lab.SubscribeOptions{
					Bases: []string{replica.URL}, User: "jack", Topics: []string{"chatgpt", "robot"},
				}))
			}
			others = append(others, lab.Listen(t, replica.URL, "chatgpt"))
		}
		for _, jack := range jacks {
			jack.WaitReady(t)
		}
		var forAll, forJack []string // ids
		for n, replica := range replicas {
			id := lab.Publish(t, replica.URL, "chatgpt", n)
			forAll, forJack = append(forAll, id), append(forJack, id)
			forJack = append(forJack, lab.Publish(t, replica.URL, "robot", n))
			id, err := lab.TryPublish(t.Context(), replica.URL, []byte(`{"user":"jack","data":"psst"}`))
			if err != nil {
				t.Fatal(err)
			}
			forJack = append(forJack, id)
		}
		for _, jack := range jacks {
			if got := ids(jack.WaitFired(t, len(forJack))); !slices.Equal(got, forJack) {
				t.Errorf("jack got %v, want %v", got, forJack)
			}
		}
		for _, other := range others {
			if got := ids(other.WaitFired(t, len(forAll))); !slices.Equal(got, forAll) {
				t.Errorf("another user got %v, want %v", got, forAll)
			}
		}
		personal := jacks[0].State().Fired()[2].Envelope(t)
		if personal.User != "jack" || personal.Topic != "" || string(personal.Data) != `"psst"` {
			t.Errorf("a personal event arrives as %+v", personal)
		}
	})
}

func ids(events []lab.Event) []string {
	ids := make([]string, len(events))
	for i, event := range events {
		ids[i] = event.ID
	}
	return ids
}

func TestReplicas_ManyEventsInOneRequest(t *testing.T) {
	replicas := startReplicas(t, 2, lab.StartRedis(t).Env())
	tests := []struct {
		name, body string
		want       []string // envelopes; "": for somebody else
	}{
		{
			"topics", `{"topics":["a","c","b"],"data":1}`,
			[]string{`{"topic":"a","data":1}`, ``, `{"topic":"b","data":1}`},
		},
		{"users", `{"users":["anna","jack"],"data":1}`, []string{``, `{"user":"jack","data":1}`}},
		{
			"array", `[{"topic":"a","data":2},{"user":"jack","data":3},{"topic":"b","data":4}]`,
			[]string{`{"topic":"a","data":2}`, `{"user":"jack","data":3}`, `{"topic":"b","data":4}`},
		},
	}
	jack := lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{replicas[0].URL}, User: "jack", Topics: []string{"a", "b"}})
	jack.WaitReady(t)
	seen := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer := lab.Post(t, replicas[1].URL+"/publish", tt.body)
			var results struct {
				Results []struct{ ID string }
			}
			if err := json.Unmarshal(answer, &results); err != nil || status != 200 || len(results.Results) != len(tt.want) {
				t.Fatalf("status %d, %q, %v", status, answer, err)
			}
			for i, want := range tt.want {
				if want == "" {
					continue
				}
				seen++
				got := jack.WaitFired(t, seen)[seen-1]
				if got.Data != want || got.ID != results.Results[i].ID {
					t.Errorf("event %d is %+v, want %s with id %s", i, got, want, results.Results[i].ID)
				}
			}
		})
	}
}

func TestReplicas_NDJSONAnswersLineByLine(t *testing.T) {
	replicas := startReplicas(t, 2, lab.StartRedis(t).Env())
	subscriber := lab.Listen(t, replicas[0].URL, "tokens")
	publisher := lab.OpenNDJSON(t, replicas[1].URL)
	for n := range 20 {
		answer := publisher.Send(t, fmt.Sprintf(`{"topic":"tokens","data":%d}`, n))
		event := subscriber.WaitFired(t, n+1)[n]
		if !strings.Contains(answer, fmt.Sprintf(`"id":%q`, event.ID)) {
			t.Fatalf("line %d: answer %q, event %+v", n, answer, event)
		}
	}
	if answer := publisher.Send(t, `{"topic":"tokens"}`); !strings.Contains(answer, `"status":400`) {
		t.Errorf("a line without data is answered with %q", answer)
	}
	if answer := publisher.Send(t, `{"topic":"tokens","data":"end"}`); !strings.Contains(answer, `"id":`) {
		t.Errorf("the line after a bad one is answered with %q", answer)
	}
}

// A subscriber that has seen ready misses nothing: subscribe on one replica, publish on another at once.
func TestReplicas_ReadyMeansReady(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	replicas := startReplicas(t, 3, lab.StartRedis(t).Env())
	const workers = 8
	t.Run("rounds", func(t *testing.T) {
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for round := range rounds / workers {
					// Half of the rounds share topics, so that some find their topic subscribed, some just being unsubscribed.
					topic := fmt.Sprintf("ready.%d.%d", worker, round)
					if round%2 == 0 {
						topic = fmt.Sprintf("ready.%d", rand.IntN(4))
					}
					at := rand.IntN(len(replicas))
					subscriber := lab.Listen(t, replicas[at].URL, topic)
					id := lab.Publish(t, replicas[(at+1)%len(replicas)].URL, topic, round)
					subscriber.WaitFor(t, wait, "the event "+id, func(state lab.State) bool {
						return slices.Contains(ids(state.Events), id)
					})
					subscriber.Close()
				}
			})
		}
	})
}
