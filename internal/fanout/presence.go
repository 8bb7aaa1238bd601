package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
)

// askPatience is how long a question waits for the slowest replica.
const askPatience = 500 * time.Millisecond

// A controlMessage is what replicas tell each other. One of its parts is set.
type controlMessage struct {
	Ask    *question `json:"ask,omitempty"`
	Answer *answer   `json:"answer,omitempty"`
	Cut    *cut      `json:"cut,omitempty"`
	Stop   string    `json:"stop,omitempty"` // a topic
}

// A question asks every replica how many streams it has: of one topic, or of the public topics after a name.
type question struct {
	ID    string `json:"id"`
	From  string `json:"from"` // the replica to answer to
	Topic string `json:"topic,omitempty"`
	List  bool   `json:"list,omitempty"`
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// An answer is one replica's streams by topic.
type answer struct {
	ID      string         `json:"id"`
	Streams map[string]int `json:"streams"`
	End     string         `json:"end,omitempty"` // of a list that is not whole, the last name
}

// questions are those that this replica has asked and not yet had answered.
type questions struct {
	mu   sync.Mutex
	last uint64
	open map[string]*poll // by question id

	listing sync.Mutex // held by whoever lists topics: one at a time looks at all of them
}

// A poll sums up the answers to one question, as they come. Guarded by questions.mu.
type poll struct {
	counted
	answers int
	more    chan struct{} // tells that there is another answer; one slot
}

// Topics lists public topics that have streams, over all replicas, by name: at most limit of those after a name.
func (h *Hub) Topics(ctx context.Context, after string, limit int) (TopicsPage, error) {
	total, err := h.ask(ctx, question{List: true, After: after, Limit: limit})
	if err != nil {
		return TopicsPage{}, fmt.Errorf("list topics: %w", err)
	}
	page := TopicsPage{Partial: total.partial, More: total.ends != nil}
	names := slices.Sorted(maps.Keys(total.streams))
	if page.More { // beyond where a replica's answer ends there may be others of its topics
		end := slices.Min(total.ends)
		names = slices.DeleteFunc(names, func(name string) bool { return name > end })
	}
	if len(names) > limit {
		names, page.More = names[:limit], true
	}
	for _, name := range names {
		page.Topics = append(page.Topics, TopicInfo{Topic: name, Subscribers: total.streams[name]})
	}
	return page, nil
}

// counted is what all replicas have answered.
type counted struct {
	streams map[string]int // by topic
	ends    []string       // the last names of answers that are not whole
	partial bool           // a replica has not answered in time
}

// ask puts a question to all replicas and sums up their answers. A replica that does not answer in time is left out.
func (h *Hub) ask(ctx context.Context, q question) (counted, error) {
	q.From = h.broker.Replica()
	var answers *poll
	q.ID, answers = h.questions.begin()
	asked, err := h.send(ctx, "", controlMessage{Ask: &q})
	if err != nil {
		h.questions.end(q.ID)
		return counted{}, err
	}
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	for h.questions.answered(answers) < asked {
		select {
		case <-answers.more:
		case <-patience.C:
			h.opts.Log.Warn("a replica did not answer in time", "asked", asked)
			total := h.questions.end(q.ID)
			total.partial = true
			return total, nil
		case <-ctx.Done():
			h.questions.end(q.ID)
			return counted{}, broker.ErrUnavailable
		}
	}
	return h.questions.end(q.ID), nil
}

func (q *questions) begin() (id string, answers *poll) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	id = strconv.FormatUint(q.last, 10)
	answers = &poll{counted: counted{streams: make(map[string]int)}, more: make(chan struct{}, 1)}
	if q.open == nil {
		q.open = make(map[string]*poll)
	}
	q.open[id] = answers
	return id, answers
}

func (q *questions) answered(p *poll) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return p.answers
}

// take adds an answer to its question, if somebody still waits for it.
func (q *questions) take(a *answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.open[a.ID]
	if p == nil {
		return
	}
	p.answers++
	for topic, streams := range a.Streams {
		p.streams[topic] += streams
	}
	if a.End != "" {
		p.ends = append(p.ends, a.End)
	}
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// end returns the sum of the answers, which changes no more.
func (q *questions) end(id string) counted {
	q.mu.Lock()
	defer q.mu.Unlock()
	total := q.open[id].counted
	delete(q.open, id)
	return total
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
		h.running.Go(func() {
			reply := controlMessage{Answer: h.answer(m.Ask)}
			ctx, cancel := context.WithTimeout(context.Background(), askPatience)
			defer cancel()
			if _, err := h.send(ctx, m.Ask.From, reply); err != nil {
				h.opts.Log.Warn("an answer could not be sent", "replica", m.Ask.From, "err", err)
			}
		})
	case m.Answer != nil:
		h.questions.take(m.Answer)
	case m.Cut != nil:
		h.cutLocal(*m.Cut)
	case m.Stop != "":
		h.stopLocal(m.Stop)
	}
}

// maxAnswer bounds the names in one answer, which comes over the connection that carries events, to the size of an event.
const maxAnswer = 32 << 10

// answer counts this replica's streams.
func (h *Hub) answer(q *question) *answer {
	a := &answer{ID: q.ID, Streams: make(map[string]int)}
	if !q.List {
		a.Streams[q.Topic] = h.streamsOf(q.Topic)
		return a
	}
	h.questions.listing.Lock()
	defer h.questions.listing.Unlock()
	streams := h.streamsAfter(q.After)
	size := 0
	for i, name := range slices.Sorted(maps.Keys(streams)) {
		if size += len(name); i > 0 && (i >= q.Limit || size > maxAnswer) {
			break
		}
		a.Streams[name], a.End = streams[name], name
	}
	if len(a.Streams) == len(streams) {
		a.End = ""
	}
	return a
}

func (h *Hub) streamsOf(topic string) int {
	p := h.partition(topic)
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.topics[topic]; t != nil {
		return len(t.shares)
	}
	return 0
}

// streamsAfter counts the streams of all public topics whose names come after one.
func (h *Hub) streamsAfter(after string) map[string]int {
	streams := make(map[string]int)
	for _, p := range h.partitions {
		p.mu.Lock()
		for name, t := range p.topics {
			if len(t.shares) > 0 && name > after && address.KindOf(name).Public() {
				streams[name] = len(t.shares)
			}
		}
		p.mu.Unlock()
	}
	return streams
}
