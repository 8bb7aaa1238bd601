package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// wait is how long a test waits for what should happen at once.
const wait = 15 * time.Second

func TestPubSub_OneConnectionAReplica(t *testing.T) {
	redis := lab.StartRedis(t)
	replicas := startReplicas(t, 2, redis.Env())
	idle := redis.Calls(t, "subscribe")
	const streams, topics = 1000, 200
	var subscribers []*lab.Subscriber
	for n := range streams {
		subscribers = append(subscribers, lab.Subscribe(t, lab.SubscribeOptions{
			Bases: []string{replicas[n%2].URL},
			Topics: []string{
				fmt.Sprintf("topic.%03d", n%topics), fmt.Sprintf("topic.%03d", (n*7+1)%topics),
			},
		}))
	}
	for _, subscriber := range subscribers {
		subscriber.WaitReady(t)
	}
	conns := redis.Conns(t, "pubsub")
	if len(conns) != len(replicas) {
		t.Errorf("%d Pub/Sub connections for %d replicas: %v", len(conns), len(replicas), conns)
	}
	if all := len(conns) + len(redis.Conns(t, "normal")); all > 40 {
		t.Errorf("%d connections in all", all)
	}
	if calls := redis.Calls(t, "subscribe") - idle; calls > topics {
		t.Errorf("%d SUBSCRIBE commands for %d topics on each of 2 replicas: they are not sent together", calls, topics)
	}
	if got := topicChannels(t, redis, "topic."); got != topics {
		t.Errorf("%d channels of %d topics are subscribed", got, topics)
	}
	for _, subscriber := range subscribers {
		subscriber.Close()
	}
	lab.Eventually(t, wait, func() error {
		if got := topicChannels(t, redis, "topic."); got != 0 {
			return fmt.Errorf("%d channels still have a subscriber", got)
		}
		for _, replica := range replicas {
			if open := replica.Metric(t, "gateway_streams_open"); open != 0 {
				return fmt.Errorf("%s still counts %v streams", replica.URL, open)
			}
		}
		return nil
	})
}

// topicChannels counts the channels whose name has the text.
func topicChannels(t *testing.T, redis *lab.Redis, text string) int {
	t.Helper()
	count := 0
	for name, subscribers := range redis.Channels(t) {
		if strings.Contains(name, text) && subscribers > 0 {
			count++
		}
	}
	return count
}

// Only replicas with a subscriber of a topic get its events, and a page that is reloaded costs no UNSUBSCRIBE.
func TestPubSub_FollowsTheSubscribers(t *testing.T) {
	redis := lab.StartRedis(t)
	replicas := startReplicas(t, 3, redis.Env())
	subscribersOf := func(topic string) int {
		count := 0
		for name, subscribers := range redis.Channels(t) {
			if strings.HasSuffix(name, topic) {
				count += subscribers
			}
		}
		return count
	}
	first := lab.Listen(t, replicas[0].URL, "news")
	if got := subscribersOf("news"); got != 1 {
		t.Errorf("%d replicas are subscribed, want the one with a subscriber", got)
	}
	second := lab.Listen(t, replicas[1].URL, "news")
	if got := subscribersOf("news"); got != 2 {
		t.Errorf("%d replicas are subscribed, want 2", got)
	}
	second.Close()
	lab.Hold(t, time.Second, func() error {
		if got := subscribersOf("news"); got != 2 {
			return fmt.Errorf("%d replicas are subscribed, want 2 still", got)
		}
		return nil
	})
	lab.Eventually(t, wait, func() error {
		if got := subscribersOf("news"); got != 1 {
			return fmt.Errorf("%d replicas are subscribed, want 1", got)
		}
		return nil
	})
	id := lab.Publish(t, replicas[2].URL, "news", "still there?")
	if got := first.WaitFired(t, 1)[0].ID; got != id {
		t.Errorf("got event %s, want %s", got, id)
	}
}
