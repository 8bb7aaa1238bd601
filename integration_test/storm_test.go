package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// 5,000 streams over 50 topics lose their replica at once and resume on another. They share the reads of history.
func TestStorm_ReadsGrowWithTopicsNotWithStreams(t *testing.T) {
	const streams, topics, each, missed = 5000, 50, 2, 20
	redis := lab.StartRedis(t)
	replicas := lab.StartReplicas(t, 2, gateways.PlainBinary(t), redis.Env())
	topic := func(n int) string { return fmt.Sprintf("storm.%02d", n%topics) }
	var subscribers []*lab.Subscriber
	for n := range streams {
		subscribers = append(subscribers, lab.Subscribe(t, lab.SubscribeOptions{
			Bases: replicas.URLs(), Topics: []string{topic(n), topic(n*7 + 1)}, Retry: 200 * time.Millisecond,
		}))
	}
	for _, subscriber := range subscribers {
		subscriber.WaitReady(t)
	}
	want := map[string][]string{} // ids by topic
	for n := range topics {
		want[topic(n)] = append(want[topic(n)], lab.Publish(t, replicas[0].URL, topic(n), "before"))
	}
	for _, subscriber := range subscribers {
		subscriber.WaitFired(t, each)
	}

	reads := func() int { return redis.Calls(t, "xrange") + redis.Calls(t, "xrevrange") }
	before := reads()
	replicas[0].Kill()
	killed := time.Now()
	var events []string
	for n := range topics * missed {
		events = append(events, fmt.Sprintf(`{"topic":%q,"data":%d}`, topic(n), n))
	}
	status, answer := lab.Post(t, replicas[1].URL+"/publish", "["+strings.Join(events, ",")+"]")
	var results struct{ Results []struct{ ID string } }
	if err := json.Unmarshal(answer, &results); err != nil || status != http.StatusOK || len(results.Results) != len(events) {
		t.Fatalf("publish %d events: status %d, %.200s, %v", len(events), status, answer, err)
	}
	for n, result := range results.Results {
		want[topic(n)] = append(want[topic(n)], result.ID)
	}
	for _, subscriber := range subscribers {
		subscriber.WaitFor(t, time.Minute, "the second ready", func(state lab.State) bool { return state.Readies >= 2 })
	}
	live := time.Since(killed)
	for n := range topics {
		want[topic(n)] = append(want[topic(n)], lab.Publish(t, replicas[1].URL, topic(n), "after"))
	}
	for n, subscriber := range subscribers {
		expected := slices.Concat(want[topic(n)], want[topic(n*7+1)])
		slices.SortFunc(expected, func(a, b string) int { return mustID(t, a).Compare(mustID(t, b)) })
		if got := ids(subscriber.WaitFired(t, len(expected))); !slices.Equal(got, expected) {
			t.Fatalf("subscriber %d got %v, want %v", n, got, expected)
		}
	}
	all := time.Since(killed)
	used := reads() - before
	t.Logf("%d streams over %d topics: ready again %v after the kill, everything delivered after %v; %d reads of history", streams, topics, live, all, used)
	if used > 10*topics {
		t.Errorf("%d streams over %d topics took %d reads of history", streams, topics, used)
	}
}

func mustID(t *testing.T, text string) lab.ID {
	t.Helper()
	id, err := lab.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
