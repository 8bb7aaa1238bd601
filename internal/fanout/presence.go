package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sse-gateway/internal/broker"
)

// askPatience is how long a question waits for the slowest replica.
const askPatience = 500 * time.Millisecond

// A controlMessage is what replicas tell each other. One of its parts is set.
type controlMessage struct {
	Ask    *question `json:"ask,omitempty"`
	Answer *answer   `json:"answer,omitempty"`
	Cut    *cut      `json:"cut,omitempty"`
}

// A question asks every replica how many streams it has: of one topic, or of all public topics.
type question struct {
	ID    string `json:"id"`
	From  string `json:"from"` // the replica to answer to
	Topic string `json:"topic,omitempty"`
}

// An answer is one replica's streams by topic.
type answer struct {
	ID      string         `json:"id"`
	Streams map[string]int `json:"streams"`
}

// questions are those that this replica has asked and not yet had answered.
type questions struct {
	mu   sync.Mutex
	last uint64
	open map[string]chan answer // by question id
}

// Topics lists the public topics that have streams, over all replicas, by name.
func (h *Hub) Topics(ctx context.Context) ([]TopicInfo, error) {
	counts, err := h.ask(ctx, question{})
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	topics := make([]TopicInfo, 0, len(counts))
	for name, streams := range counts {
		topics = append(topics, TopicInfo{Topic: name, Subscribers: streams})
	}
	slices.SortFunc(topics, func(a, b TopicInfo) int { return strings.Compare(a.Topic, b.Topic) })
	return topics, nil
}

// ask puts a question to all replicas and sums up their answers. A replica that does not answer in time is left out.
func (h *Hub) ask(ctx context.Context, q question) (map[string]int, error) {
	replies := make(chan answer, 64)
	h.questions.mu.Lock()
	h.questions.last++
	q.ID, q.From = strconv.FormatUint(h.questions.last, 10), h.broker.Replica()
	if h.questions.open == nil {
		h.questions.open = make(map[string]chan answer)
	}
	h.questions.open[q.ID] = replies
	h.questions.mu.Unlock()
	defer func() {
		h.questions.mu.Lock()
		delete(h.questions.open, q.ID)
		h.questions.mu.Unlock()
	}()
	asked, err := h.send(ctx, "", controlMessage{Ask: &q})
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	total := make(map[string]int)
	for range asked {
		select {
		case reply := <-replies:
			for topic, streams := range reply.Streams {
				total[topic] += streams
			}
		case <-patience.C:
			h.opts.Log.Warn("a replica did not answer in time", "asked", asked)
			return total, nil
		case <-ctx.Done():
			return nil, broker.ErrUnavailable
		}
	}
	return total, nil
}

func (h *Hub) send(ctx context.Context, to string, m controlMessage) (int, error) {
	payload, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("encode a control message: %w", err)
	}
	return h.broker.Send(ctx, to, payload)
}

// control takes what another replica, or this one, has sent. It is called by the receiving goroutine, and does not block.
func (h *Hub) control(payload []byte) {
	var m controlMessage
	if err := json.Unmarshal(payload, &m); err != nil {
		h.opts.Log.Warn("a control message is unreadable", "err", err)
		return
	}
	switch {
	case m.Ask != nil:
		reply := controlMessage{Answer: &answer{ID: m.Ask.ID, Streams: h.count(m.Ask.Topic)}}
		h.running.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), askPatience)
			defer cancel()
			if _, err := h.send(ctx, m.Ask.From, reply); err != nil {
				h.opts.Log.Warn("an answer could not be sent", "replica", m.Ask.From, "err", err)
			}
		})
	case m.Answer != nil:
		h.questions.mu.Lock()
		replies := h.questions.open[m.Answer.ID]
		h.questions.mu.Unlock()
		select {
		case replies <- *m.Answer:
		default: // nobody waits for it any more
		}
	case m.Cut != nil:
		h.cutLocal(*m.Cut)
	}
}

// count counts this replica's streams of one topic, or of every public topic.
func (h *Hub) count(topic string) map[string]int {
	streams := make(map[string]int)
	if topic != "" {
		p := h.partition(topic)
		p.mu.Lock()
		defer p.mu.Unlock()
		if t := p.topics[topic]; t != nil && len(t.parts) > 0 {
			streams[topic] = len(t.parts)
		}
		return streams
	}
	for _, p := range h.partitions {
		p.mu.Lock()
		for name, t := range p.topics {
			if len(t.parts) > 0 && !strings.HasPrefix(name, "@") {
				streams[name] = len(t.parts)
			}
		}
		p.mu.Unlock()
	}
	return streams
}
