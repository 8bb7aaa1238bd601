package fanout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/testkit"
)

// allTopics pages through the list of topics, and returns them with their streams, and the number of pages.
func allTopics(t *testing.T, h *Hub, limit int) (all []string, pages int) {
	t.Helper()
	for after := ""; ; {
		page, err := h.Topics(t.Context(), after, limit)
		if err != nil || page.Partial || len(page.Topics) > limit {
			t.Fatalf("after %q: %d topics, partial %t, %v", after, len(page.Topics), page.Partial, err)
		}
		for _, info := range page.Topics {
			all = append(all, fmt.Sprint(info.Topic, " ", info.Subscribers))
			after = info.Topic
		}
		if pages++; !page.More {
			return all, pages
		}
		if len(page.Topics) == 0 {
			t.Fatalf("after %q there is more, and an empty page", after)
		}
	}
}

func TestHub_PagesThroughTopics(t *testing.T) {
	w := redisWorld(t, settings{})
	a, b := w.hub(t, "a"), w.hub(t, "b")
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("%04d%s", i, strings.Repeat("x", 200)) // 61 kB of names
		joinAll := []*Hub{a}
		if i%3 == 0 {
			joinAll = append(joinAll, b)
		}
		if i > 250 {
			joinAll = []*Hub{b}
		}
		for _, h := range joinAll {
			join(t, h, newRecorder(), JoinRequest{Topics: []string{name}, User: "jack"})
		}
		want = append(want, fmt.Sprint(name, " ", len(joinAll)))
	}
	for limit, least := range map[int]int{7: 43, 1000: 2} {
		got, pages := allTopics(t, b, limit)
		if !slices.Equal(got, want) || pages < least {
			t.Errorf("limit %d: got %d topics in %d pages, want %d in %d", limit, len(got), pages, len(want), least)
		}
	}
}

// A crowd is a broker that says that there are more replicas than there are.
type crowd struct{ broker.Broker }

func (c crowd) Send(ctx context.Context, to string, payload []byte) (int, error) {
	n, err := c.Broker.Send(ctx, to, payload)
	return n + 1, err
}

func TestHub_SaysThatAReplicaHasNotAnswered(t *testing.T) {
	h := NewHub(crowd{memory.New(memory.Options{})}, quick)
	defer closeHub(t, h)
	testkit.Eventually(t, 10e9, h.Ready)
	join(t, h, newRecorder(), JoinRequest{Topics: []string{"t"}})
	if page, err := h.Topics(t.Context(), "", 10); err != nil || !page.Partial || len(page.Topics) != 1 {
		t.Errorf("got %+v, %v, want one topic of a partial list", page, err)
	}
	if info, err := h.Topic(t.Context(), "t"); err != nil || !info.Partial || info.Subscribers != 1 {
		t.Errorf("got %+v, %v, want a partial count of 1", info, err)
	}
}
