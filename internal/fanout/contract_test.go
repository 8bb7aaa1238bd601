package fanout

import (
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
)

// The contract of a broker, held against every store: memory, Redis, and the store of the model test, which proves nothing
// about the others unless it does what they do.

// A contractStore is one partition of a store, without a hub.
type contractStore struct {
	publish func(op broker.Op) broker.Result
	// mark sends a mark and returns it as it comes back.
	mark func(floor, rebirth broker.ID) broker.Mark
	last func(topic string) broker.ID
}

// short is what the stores keep, so that nothing waits for a day.
var short = broker.Retention{Size: 10, Events: time.Second, LastID: 2 * time.Second}.WithDefaults()

func brokerStore(t *testing.T, b broker.Broker) contractStore {
	t.Helper()
	feed, err := b.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = feed.Close()
		_ = b.Close()
	})
	marks := make(chan broker.Mark, 1)
	go func() {
		for {
			messages, err := feed.Receive(nil)
			if err != nil {
				return
			}
			for _, m := range messages {
				if m.Kind == broker.MessageMark {
					marks <- m.Mark
				}
			}
		}
	}()
	return contractStore{
		publish: func(op broker.Op) broker.Result { return b.Publish(t.Context(), 0, []broker.Op{op})[0] },
		mark: func(floor, rebirth broker.ID) broker.Mark {
			t.Helper()
			if err := b.Mark(t.Context(), 0, 1, floor, rebirth); err != nil {
				t.Fatal(err)
			}
			select {
			case m := <-marks:
				return m
			case <-time.After(10 * time.Second):
				t.Fatal("the mark does not come back")
				return broker.Mark{}
			}
		},
		last: func(topic string) broker.ID {
			t.Helper()
			tails, err := b.Read(t.Context(), 0, []broker.Read{{Topic: topic}})
			if err != nil {
				t.Fatal(err)
			}
			return tails[0].Last
		},
	}
}

func memoryStore(t *testing.T) contractStore {
	return brokerStore(t, memory.New(memory.Options{Retention: short}))
}

func redisStore(t *testing.T, args ...string) (contractStore, *goredis.Client) {
	t.Helper()
	url, client := redistest.Start(t, args...)
	b, err := redis.New(redis.Options{URL: url, Replica: "a", Retention: short})
	if err != nil {
		t.Fatal(err)
	}
	return brokerStore(t, b), client
}

// modelStoreAlone is a store of the model without the rest of its world.
func modelStoreAlone() contractStore {
	w := &modelWorld{keep: short, byNumber: make(map[int]*modelEvent), began: time.Now()}
	s := &modelStore{w: w, data: newModelData(), lossy: true}
	return contractStore{
		publish: func(op broker.Op) broker.Result { return s.publish(&op) },
		mark: func(floor, rebirth broker.ID) broker.Mark {
			s.mark("", 0, floor, rebirth)
			return broker.Mark{Head: s.data.clock, Born: s.data.born}
		},
		last: func(topic string) broker.ID { return s.topic(topic).last },
	}
}

func eachStore(t *testing.T, test func(t *testing.T, s contractStore)) {
	t.Run("memory", func(t *testing.T) { test(t, memoryStore(t)) })
	t.Run("redis", func(t *testing.T) {
		s, _ := redisStore(t)
		test(t, s)
	})
	t.Run("model", func(t *testing.T) { test(t, modelStoreAlone()) })
}

func (s *contractStore) mustPublish(t *testing.T, op broker.Op) broker.ID {
	t.Helper()
	op.Block = []byte("data: 1\n")
	result := s.publish(op)
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	return result.ID
}

func TestContract_MarkMovesTheClockOfAQuietPartitionOn(t *testing.T) {
	eachStore(t, func(t *testing.T, s contractStore) {
		id := s.mustPublish(t, broker.Op{Topic: "t"})
		var head broker.ID
		redistest.Eventually(t, 20*time.Second, func() error {
			if head = s.mark(broker.ID{}, broker.ID{}).Head; head == id {
				return errors.New("the clock stands still")
			}
			return nil
		})
		if quiet := time.Duration(head.MS-id.MS) * time.Millisecond; quiet < short.QuietLag() {
			t.Errorf("the clock was moved on after %s, before it was %s behind", quiet, short.QuietLag())
		}
		if next := s.mustPublish(t, broker.Op{Topic: "t"}); !head.Less(next) {
			t.Errorf("the id %s is not above the head %s that a mark has told", next, head)
		}
	})
}

// When a last id is forgotten, the clock proves that it is older than a last id is needed for.
func TestContract_ForgetsALastIDOnlyBehindTheClock(t *testing.T) {
	eachStore(t, func(t *testing.T, s contractStore) {
		id := s.mustPublish(t, broker.Op{Topic: "t"})
		var head broker.ID
		redistest.Eventually(t, 20*time.Second, func() error {
			head = s.mark(broker.ID{}, broker.ID{}).Head
			if !s.last("t").IsZero() {
				return errors.New("the last id is known still")
			}
			return nil
		})
		// The mark came first: the clock may be as far behind the time as one that is not moved on yet.
		if !id.Less(head.Minus(short.LastID)) {
			t.Errorf("the last id %s is forgotten when the clock is at %s, not %s later", id, head, short.LastID)
		}
		// A reader that has been at the forgotten id sees no gap, since K is older.
		next := s.mustPublish(t, broker.Op{Topic: "t"})
		if !head.Less(next) {
			t.Errorf("the id %s is not above the head %s", next, head)
		}
	})
}

// Whoever finds the clock behind an id that was given out has proved a loss, also who publishes.
func TestContract_PublishBehindItsFloorGivesBirth(t *testing.T) {
	eachStore(t, func(t *testing.T, s contractStore) {
		s.mustPublish(t, broker.Op{Topic: "t"})
		before := s.mark(broker.ID{}, broker.ID{})
		lost := broker.ID{MS: before.Head.MS + 3_600_000, Seq: 7}
		id := s.mustPublish(t, broker.Op{Topic: "t", Floor: lost})
		after := s.mark(lost, broker.ID{})
		if !before.Born.Less(after.Born) || !lost.Less(after.Born) || !after.Born.Less(id) {
			t.Errorf("born %s before and %s after the publish of %s, which knew of %s: want a birth between the two", before.Born, after.Born, id, lost)
		}
		if first := s.mustPublish(t, broker.Op{Topic: "new", Floor: id}); s.mark(first, broker.ID{}).Born != after.Born {
			t.Error("a publish whose floor is the clock gives birth")
		}
	})
}

// The answer to the first publish of a pipeline proves that its clock is above the floor, whatever the answer is.
func TestContract_PublishToAClosedTopicBehindItsFloorGivesBirth(t *testing.T) {
	eachStore(t, func(t *testing.T, s contractStore) {
		s.mustPublish(t, broker.Op{Topic: "t", Close: true})
		before := s.mark(broker.ID{}, broker.ID{})
		lost := broker.ID{MS: before.Head.MS + 3_600_000, Seq: 7}
		if result := s.publish(broker.Op{Topic: "t", Floor: lost}); !errors.Is(result.Err, broker.ErrTopicClosed) {
			t.Errorf("got %+v, want that the topic is closed", result)
		}
		if after := s.mark(broker.ID{}, broker.ID{}); !lost.Less(after.Born) {
			t.Errorf("born at %s, want a birth above %s", after.Born, lost)
		}
	})
}

// A store that has come back from the past has an older birth than the one it has told of.
func TestContract_MarkGivesBirthWhereTheKnownOneIsNewer(t *testing.T) {
	eachStore(t, func(t *testing.T, s contractStore) {
		before := s.mark(broker.ID{}, broker.ID{})
		s.mustPublish(t, broker.Op{Topic: "t"})
		if same := s.mark(broker.ID{}, before.Born.Prior()); same.Born != before.Born {
			t.Errorf("born again at %s for a birth before %s", same.Born, before.Born)
		}
		if after := s.mark(broker.ID{}, before.Born.Next()); !before.Born.Less(after.Born) {
			t.Errorf("born at %s still, though %s was known", after.Born, before.Born.Next())
		}
	})
}

func TestContract_RedisMarksWhileItIsFull(t *testing.T) {
	s, client := redisStore(t)
	id := s.mustPublish(t, broker.Op{Topic: "t"})
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	// The clock can't be moved on now: the marks go on with the old one.
	deadline := id.MS + uint64(2*short.QuietLag().Milliseconds())
	redistest.Eventually(t, 20*time.Second, func() error {
		if head := s.mark(broker.ID{}, broker.ID{}).Head; head != id {
			t.Fatalf("the head is %s, want %s", head, id)
		}
		if now := client.Time(t.Context()).Val(); uint64(now.UnixMilli()) <= deadline {
			return errors.New("not quiet for long enough")
		}
		return nil
	})
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if head := s.mark(broker.ID{}, broker.ID{}).Head; head == id {
		t.Error("the clock stands still though there is room again")
	}
}
