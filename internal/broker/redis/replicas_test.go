package redis

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"

	goredis "github.com/redis/go-redis/v9"
)

// A replicaSet is a primary with two replicas.
type replicaSet struct {
	url       string
	client    *goredis.Client
	process   *testkit.Process
	replicas  []*goredis.Client
	processes []*testkit.Process
}

func startReplicaSet(t testing.TB) *replicaSet {
	t.Helper()
	s := &replicaSet{}
	s.url, s.client, s.process = redistest.StartProcess(t, "--repl-diskless-sync-delay", "0")
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	for range 2 {
		_, client, process := redistest.StartProcess(t, "--replicaof", "127.0.0.1 "+port, "--repl-diskless-sync-delay", "0")
		s.replicas, s.processes = append(s.replicas, client), append(s.processes, process)
	}
	testkit.Eventually(t, testkit.Patience, func() error {
		info := s.client.Info(t.Context(), "replication").Val()
		if strings.Count(info, "state=online") != 2 {
			return fmt.Errorf("replication: %s", info)
		}
		return nil
	})
	return s
}

func (s *replicaSet) broker(t testing.TB, replicas int) *Broker {
	t.Helper()
	store, err := New(Options{
		URL: s.url, Replica: "a", Retention: broker.Retention{Size: 1000}, Timeout: 2 * time.Second, Replicas: replicas,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func publishKeyed(t testing.TB, store *Broker, key string) broker.Result {
	t.Helper()
	return store.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Key: key, Block: []byte("data: 1\n")}})[0]
}

// TestReplicas_AreWaitedFor: what is acknowledged outlives the primary, whichever replica takes its place.
func TestReplicas_AreWaitedFor(t *testing.T) {
	s := startReplicaSet(t)
	store := s.broker(t, 2)
	var last broker.Result
	for i := range 20 {
		if last = publishKeyed(t, store, fmt.Sprint("key", i)); last.Err != nil {
			t.Fatal(last.Err)
		}
	}
	s.process.Kill()
	for i, replica := range s.replicas {
		if err := replica.Do(t.Context(), "replicaof", "no", "one").Err(); err != nil {
			t.Fatal(err)
		}
		promoted := openStore(t, "redis://"+replica.Options().Addr)
		tails, err := promoted.Read(t.Context(), 0, []broker.Read{{Topic: "t", Limit: 100}})
		if err != nil || len(tails[0].Entries) != 20 || tails[0].Last != last.ID {
			t.Errorf("replica %d has %+v, %v, want all 20 events up to %s", i, tails, err, last.ID)
		}
	}
}

// TestReplicas_TooFewAreNoAcknowledgement: also for a key whose event was written before, over any connection.
func TestReplicas_TooFewAreNoAcknowledgement(t *testing.T) {
	s := startReplicaSet(t)
	store, other := s.broker(t, 1), s.broker(t, 0)
	if r := publishKeyed(t, store, "before"); r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, process := range s.processes {
		process.Freeze(t)
	}
	for _, key := range []string{"new", "new", "by another"} {
		if key == "by another" {
			if r := publishKeyed(t, other, key); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		began := time.Now()
		r := publishKeyed(t, store, key)
		if !errors.Is(r.Err, broker.ErrUnavailable) || errors.Is(r.Err, broker.ErrNotSent) || !errors.Is(r.Err, errTooFewReplicas) {
			t.Errorf("key %q: got %v, %v, want an outcome that is unknown for want of replicas", key, r.ID, r.Err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("key %q: it took %s, more than the time-out", key, took)
		}
	}
	s.processes[0].Thaw(t)
	testkit.Eventually(t, testkit.Patience, func() error { return publishKeyed(t, store, "new").Err })
	if n := s.client.XLen(t.Context(), store.spaces[0].stream("t")).Val(); n != 3 {
		t.Errorf("%d events, want 3: a key was published twice", n)
	}
}

func BenchmarkPublish_WithReplicas(b *testing.B) {
	for _, replicas := range []int{0, 1, 2} {
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			store := startReplicaSet(b).broker(b, replicas)
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r := publishKeyed(b, store, ""); r.Err != nil {
						b.Error(r.Err)
					}
				}
			})
		})
	}
}

// TestReplicas_OnACluster: what WAIT counts are the replicas of the node that has the partition, also when that has moved.
func TestReplicas_OnACluster(t *testing.T) {
	url, node := redistest.StartNode(t)
	store, err := New(Options{URL: url, Replica: "a", Retention: broker.Retention{Size: 100}, Partitions: 2, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if r := publishKeyed(t, store, "key"); !errors.Is(r.Err, errTooFewReplicas) {
		t.Errorf("without a replica: got %v, %v", r.ID, r.Err)
	}
	_, replica := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(testkit.FreePort(t)), "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(node.Options().Addr)
	bus := node.ConfigGet(t.Context(), "cluster-port").Val()["cluster-port"]
	if err := replica.Do(t.Context(), "cluster", "meet", host, port, bus).Err(); err != nil {
		t.Fatal(err)
	}
	id := node.Do(t.Context(), "cluster", "myid").Val()
	testkit.Eventually(t, testkit.Patience, func() error { return replica.Do(t.Context(), "cluster", "replicate", id).Err() })
	testkit.Eventually(t, testkit.Patience, func() error { return publishKeyed(t, store, "key").Err })
	testkit.Eventually(t, testkit.Patience, func() error { // the primary becomes the replica: Redis says MOVED
		return replica.ClusterFailover(t.Context()).Err()
	})
	testkit.Eventually(t, testkit.Patience, func() error {
		if role := replica.Do(t.Context(), "role").Val().([]any)[0]; role != "master" {
			return fmt.Errorf("its role is %v", role)
		}
		return publishKeyed(t, store, "after").Err
	})
	if n := replica.XLen(t.Context(), store.spaces[0].stream("t")).Val(); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// BenchmarkFailover_Loses counts the acknowledged events that no replica has when the primary is killed under load, and from
// how long before that they are.
func BenchmarkFailover_Loses(b *testing.B) {
	for _, replicas := range []int{0, 1} {
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			var lost, window, worst float64
			for b.Loop() {
				n, age := loseAtFailover(b, replicas)
				lost, window, worst = lost+float64(n), max(window, age.Seconds()*1000), max(worst, float64(n))
			}
			b.ReportMetric(lost/float64(b.N), "lost/failover")
			b.ReportMetric(worst, "lost-at-most")
			b.ReportMetric(window, "ms-at-most")
		})
	}
}

func loseAtFailover(b *testing.B, replicas int) (lost int, age time.Duration) {
	s := startReplicaSet(b)
	store := s.broker(b, replicas)
	var mu sync.Mutex
	acknowledged := map[broker.ID]time.Time{}
	var publishers sync.WaitGroup
	for range 64 {
		publishers.Go(func() {
			for {
				r := publishKeyed(b, store, "")
				if r.Err != nil {
					return // it has been killed
				}
				mu.Lock()
				acknowledged[r.ID] = time.Now()
				mu.Unlock()
			}
		})
	}
	testkit.WaitFor(b, "20,000 events", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) > 20000
	})
	killed := time.Now()
	s.process.Kill()
	publishers.Wait()
	best := broker.ID{}
	for _, replica := range s.replicas {
		for _, m := range replica.XRevRangeN(b.Context(), store.spaces[0].stream("t"), "+", "-", 1).Val() {
			id, err := broker.ParseID(m.ID)
			if err != nil {
				b.Fatal(err)
			}
			best = broker.Later(best, id)
		}
	}
	for id, at := range acknowledged {
		if best.Less(id) {
			lost, age = lost+1, max(age, killed.Sub(at))
		}
	}
	return lost, age
}
