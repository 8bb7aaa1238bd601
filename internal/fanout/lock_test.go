package fanout

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/sse"
)

// unlockedHandler is a log that notes whether the dispatch lock is held while it is written.
type unlockedHandler struct {
	p     *partition
	lines []string
	held  []string
}

func (*unlockedHandler) Enabled(context.Context, slog.Level) bool { return true }
func (l *unlockedHandler) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *unlockedHandler) WithGroup(string) slog.Handler          { return l }

func (l *unlockedHandler) Handle(_ context.Context, r slog.Record) error {
	l.lines = append(l.lines, r.Message)
	if l.p.mu.TryLock() {
		l.p.mu.Unlock()
	} else {
		l.held = append(l.held, r.Message)
	}
	return nil
}

// A partition alone, live, with one topic that has had the event 50-0.
func livePartition(log slog.Handler, streams int) (*Hub, *partition) {
	opts := quick
	if log != nil {
		opts.Log = slog.New(log)
	}
	store := memory.New(memory.Options{})
	p := newPartition(0, store.Retention(), opts.withDefaults())
	h := &Hub{broker: store, opts: p.opts, partitions: []*partition{p}}
	p.state, p.generation, p.evidence.born = live, 1, broker.ID{MS: 1}
	for range streams {
		s := h.subscribe(JoinRequest{Topics: []string{"a", "b"}})
		s.sink, s.shares[0].live, s.shares[0].pos = &frames{}, true, broker.ID{MS: 50}
	}
	for _, t := range p.topics {
		t.start(broker.ID{MS: 50})
	}
	p.evidence.watermark = broker.ID{MS: 50}
	return h, p
}

// frames is a Sink that keeps the frames themselves.
type frames struct{ all []*sse.Frame }

func (f *frames) Push(frame *sse.Frame) bool {
	f.all = append(f.all, frame)
	return true
}
func (*frames) WaitRoom(ctx context.Context) error { return ctx.Err() }
func (*frames) End(string)                         {}

func TestPartition_LogsWithoutTheDispatchLock(t *testing.T) {
	log := &unlockedHandler{}
	_, p := livePartition(log, 1)
	log.p = p
	birth := broker.Message{Kind: broker.MessageBirth, Mark: broker.Mark{Born: broker.ID{MS: 60}}}
	missing := broker.Message{Kind: broker.MessageEvent, Topic: "a", Entry: broker.Entry{
		ID: broker.ID{MS: 90}, Prev: broker.ID{MS: 80}, Frame: sse.NewFrame([]byte("data: 1\n"), "90-0"),
	}}
	p.receive(1, []broker.Message{birth, missing})
	if len(log.lines) != 2 || len(log.held) > 0 {
		t.Errorf("logged %q, of which %q under the dispatch lock, want two lines and none of them", log.lines, log.held)
	}
}

func TestPartition_EncodesAGapOncePerTopic(t *testing.T) {
	_, p := livePartition(nil, 3)
	p.receive(1, []broker.Message{{Kind: broker.MessageBirth, Mark: broker.Mark{Born: broker.ID{MS: 60}}}})
	var first *frames
	for _, m := range p.topics["a"].shares {
		got := m.sub.sink.(*frames)
		if first == nil {
			first = got
		}
		if len(got.all) != 2 || got.all[0] != first.all[0] || got.all[1] != first.all[1] {
			t.Errorf("got %d gaps in frames of their own, want the two of the first stream", len(got.all))
		}
	}
	if text := string(first.all[0].Bytes()) + string(first.all[1].Bytes()); strings.Count(text, "event: gap") != 2 || !strings.HasSuffix(text, "id: 60-0\n\n") {
		t.Errorf("got %q, want two gaps, the last with the id", text)
	}
}

// hundred is a broker with a hundred replicas that all answer before the question is known to have been sent.
type hundred struct {
	*memory.Broker
	hub *Hub
}

func (c *hundred) Send(ctx context.Context, _ string, payload []byte) (int, error) {
	var m controlMessage
	if err := json.Unmarshal(payload, &m); err != nil || m.Ask == nil {
		return c.Broker.Send(ctx, "", payload)
	}
	const replicas = 100
	for range replicas {
		reply, err := json.Marshal(controlMessage{Answer: &answer{ID: m.Ask.ID, Streams: map[string]int{"t": 1}}})
		if err != nil {
			return 0, err
		}
		c.hub.control(reply)
	}
	return replicas, nil
}

func TestHub_CountsTheAnswersOfAHundredReplicas(t *testing.T) {
	c := &hundred{Broker: memory.New(memory.Options{})}
	c.hub = NewHub(c, quick)
	defer closeHub(t, c.hub)
	info, err := c.hub.Topic(t.Context(), "t")
	if err != nil || info.Subscribers != 100 {
		t.Errorf("got %d streams, %v, want 100", info.Subscribers, err)
	}
}
