package fanout

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

// values sorts what was received by topic.
func values(t *testing.T, events []sse.Event) map[string]string {
	t.Helper()
	byTopic := make(map[string]string)
	for _, e := range events {
		var envelope sse.Envelope
		if err := json.Unmarshal([]byte(e.Data), &envelope); err != nil {
			t.Fatal(err)
		}
		byTopic[envelope.Topic+envelope.User] += string(envelope.Data) + " "
	}
	return byTopic
}

func TestCluster_ResumesOverPartitions(t *testing.T) {
	w := redisWorldAt(t, redistest.StartCluster(t), nil, settings{history: 100})
	a, b := w.hub(t, "a"), w.hub(t, "b")
	var topics []string
	for i := range 12 {
		topics = append(topics, fmt.Sprint("t", i))
	}
	r := newRecorder()
	s := join(t, a, r, JoinRequest{Topics: topics, User: "jack"})
	if !strings.HasPrefix(s.StartID(), "c") {
		t.Errorf("got the start id %q, want a cursor over partitions", s.StartID())
	}
	for round := range 5 {
		for _, topic := range append(topics, address.OfUser("jack").String()) {
			publish(t, b, topic, round)
		}
	}
	events := r.wait(t, 65)
	for topic, got := range values(t, events) {
		if got != "0 1 2 3 4 " {
			t.Errorf("topic %s: got %s", topic, got)
		}
	}
	s.Leave()
	// Wherever the stream is cut, another replica goes on from there.
	for _, cut := range []int{0, 17, 40, 63} {
		resumed := newRecorder()
		again := join(t, b, resumed, JoinRequest{Topics: topics, User: "jack", Start: after(events[cut].ID)})
		rest := resumed.wait(t, len(events)-cut-1)
		for topic, got := range values(t, append(append([]sse.Event(nil), events[:cut+1]...), rest...)) {
			if got != "0 1 2 3 4 " {
				t.Errorf("cut at %d, topic %s: got %s", cut, topic, got)
			}
		}
		again.Leave()
	}
}

func TestCluster_ClosesTopicsOfSeveralPartitions(t *testing.T) {
	w := redisWorldAt(t, redistest.StartCluster(t), nil, settings{history: 100})
	h := w.hub(t, "a")
	topics := []string{"t1", "t2", "t3", "t4"}
	r := newRecorder()
	join(t, h, r, JoinRequest{Topics: topics, User: "jack"})
	for _, topic := range topics {
		if _, err := h.CloseTopic(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	events := r.wait(t, 4)
	r.waitEnd(t, "closed")
	done, err := h.Join(t.Context(), JoinRequest{Topics: topics, Start: after(events[3].ID)})
	if err != nil || !done.Closed() {
		t.Errorf("not closed, %v", err)
	}
	done.Leave()
}

func TestSentinel_FollowsAFailover(t *testing.T) {
	primary, old := redistest.Start(t)
	addr := strings.TrimPrefix(primary, "redis://")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	_, replica := redistest.Start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	testkit.Eventually(t, 20*time.Second, func() error {
		info := replica.Info(t.Context(), "replication").Val()
		if !strings.Contains(info, "master_link_status:up") {
			return fmt.Errorf("replication: %s", info)
		}
		return nil
	})
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n", host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := redistest.StartServer(t, func(port string) *exec.Cmd {
		return exec.Command("redis-server", config, "--sentinel", "--port", port, "--bind", "127.0.0.1")
	})
	testkit.Eventually(t, 20*time.Second, func() error {
		client := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
		defer client.Close()
		replicas, err := client.Replicas(t.Context(), "main").Result()
		if err == nil && len(replicas) != 1 {
			err = fmt.Errorf("the sentinel knows of %d replicas", len(replicas))
		}
		return err
	})
	w := redisWorldAt(t, "redis+sentinel://"+sentinel+"/main", nil, settings{history: 100})
	a, b := w.hub(t, "a"), w.hub(t, "b")
	r := newRecorder()
	join(t, a, r, JoinRequest{Topics: []string{"t"}})
	publish(t, b, "t", 1)
	r.wait(t, 1)
	_ = old.ShutdownNoSave(t.Context()) // it answers by closing the connection
	testkit.Eventually(t, 30*time.Second, func() error {
		return b.Publish(t.Context(), []Publication{{Topic: "t", Data: json.RawMessage("2"), Key: "k"}})[0].Err
	})
	publish(t, a, "t", 3)
	wantData(t, r.wait(t, 3), "1 2 3")
}
