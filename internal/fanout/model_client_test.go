package fanout

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// A modelClient is one page with an EventSource: it comes back with the last event ID that it has.
type modelClient struct {
	w       *modelWorld
	name    string
	topics  []string
	raw     bool
	since   string // of its first visit
	lastID  string
	stalled bool // reads nothing
	stopped bool // it was answered 204
	session *modelSession
	got     map[*modelEvent]bool
	owed    []modelDebt
}

// A modelDebt is a loss that the client has to be told of, or an event after one that it has to get.
type modelDebt struct {
	event *modelEvent
	// mute: the loss was that of one message on a live connection; who leaves before anybody notices is not told.
	mute *modelSession
	// inOrder: the gap has to come before the topic's next event.
	inOrder bool
	births  int // how many the event's store had seen
	// witnesses are the replicas' topics that had dispatched the event, or a later one, when it was lost.
	witnesses []*topic
}

func (c *modelClient) owe(d modelDebt) {
	d.births = len(c.w.stores[d.event.part].births)
	if !slices.ContainsFunc(c.owed, func(o modelDebt) bool { return o.event == d.event }) {
		c.owed = append(c.owed, d)
	}
}

// A modelSession is one stream of a client. The driver owns it; what runs in its own goroutine goes through sink and sub.
type modelSession struct {
	client  *modelClient
	hub     int
	on      *Hub
	request JoinRequest
	cursor  string
	sink    *modelSink
	leave   context.CancelFunc // the connection is gone
	over    chan struct{}      // closed when the goroutine has ended

	// What the oracle has seen. See modelSession.take.
	ready  bool
	all    []bool // by partition: it asked for whatever there is, and nothing before that is missing
	timed  bool
	forged bool        // its cursor is none
	start  []broker.ID // where it began, by partition
	pos    []broker.ID // the last position that it was told, by partition
	got    map[*modelEvent]bool
	told   []bool // by partition: the id of ready tells it where it starts
	moved  []bool // by partition: it has been told a position beyond its start
	gaps   []modelGap
	open   []modelGap // gaps that came without an id; the next id is theirs
	births []int      // how many the stores had seen when it began

	mu   sync.Mutex
	sub  *Subscription // guarded by mu
	done bool          // answered 204; guarded by mu
	live bool          // Deliver has returned nil; guarded by mu
}

type modelGap struct {
	topic        string
	after, until broker.ID
}

// end is how far a gap reaches that came without an id: up to the oldest event kept after it or, if nothing is, up to where
// the replica was then.
func (s *modelSession) end(frame *sse.Frame, oldest broker.ID) broker.ID {
	if !oldest.IsZero() {
		return oldest.Prior()
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	return s.sink.gaps[frame]
}

// connect opens a stream on a hub.
func (c *modelClient) connect(hub int) {
	ctx, cancel := context.WithCancel(context.Background())
	start, err := ParseStart(c.lastID, c.since, time.Now())
	if err != nil {
		panic(err)
	}
	s := &modelSession{
		client: c, hub: hub, on: c.w.hubs[hub], cursor: c.lastID, leave: cancel, over: make(chan struct{}), got: make(map[*modelEvent]bool),
		request: JoinRequest{Topics: c.topics, Owner: c.name, Start: start, Raw: c.raw},
		sink:    &modelSink{limit: c.w.opts.QueueEvents, hub: c.w.hubs[hub], gaps: make(map[*sse.Frame]broker.ID)},
	}
	s.begin(start)
	c.session = s
	c.w.sessions = append(c.w.sessions, s)
	go s.run(ctx)
}

// run is what httpapi does with a stream.
func (s *modelSession) run(ctx context.Context) {
	defer close(s.over)
	defer s.sink.End("over")
	gate := func(what string) { _ = s.client.w.gate.do(context.Background(), s.client.name+" "+what) }
	sub, err := s.on.Join(ctx, s.request)
	if err != nil {
		return
	}
	defer sub.Leave()
	defer gate("leave")
	if sub.Closed() {
		s.mu.Lock()
		s.done = true
		s.mu.Unlock()
		return
	}
	gate("ready")
	s.sink.Push(sse.NewFrame(sse.AppendBlock(nil, "ready", 0, []byte("{}")), sub.StartID()))
	s.mu.Lock()
	s.sub = sub
	s.mu.Unlock()
	if err := sub.Deliver(ctx, s.sink); err != nil {
		s.sink.End("error")
	} else {
		s.mu.Lock()
		s.live = true
		s.mu.Unlock()
	}
	<-ctx.Done()
}

func (s *modelSession) beat() {
	s.mu.Lock()
	sub := s.sub
	s.mu.Unlock()
	if sub != nil {
		sub.Beat()
	}
}

func (s *modelSession) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// drain lets the client receive up to n frames.
func (s *modelSession) drain(n int) {
	for _, frame := range s.sink.receive(n) {
		s.take(frame)
	}
}

// drop ends the stream from the client's side.
func (s *modelSession) drop() {
	s.sink.cut("client")
	s.leave()
}

// stop notices that the client has been answered 204. Whether that was right depends on what had been published then, not
// when the stream has ended.
func (s *modelSession) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done && !s.client.stopped {
		s.client.stopped = true
		s.checkStopped()
	}
}

// settle lets go of a stream that has ended.
func (s *modelSession) settle() {
	s.leave()
	if s.sink.endedFor("closed") {
		s.checkClosed()
	}
	s.client.session = nil
}

// A modelSink is the bounded queue of a stream.
type modelSink struct {
	limit int
	hub   *Hub

	mu     sync.Mutex
	frames []*sse.Frame
	gaps   map[*sse.Frame]broker.ID // where the replica was when it pushed a gap
	reason string
	room   chan struct{}
}

func (k *modelSink) Push(frame *sse.Frame) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reason != "" {
		return false
	}
	if len(k.frames) >= k.limit {
		k.frames = nil
		k.endLocked("slow")
		return false
	}
	if _, rest, gap := bytes.Cut(frame.Bytes(), []byte(`event: gap
data: {"topic":"`)); gap {
		topic, _, _ := bytes.Cut(rest, []byte(`"`))
		p := k.hub.partition(string(topic)) // its lock is held
		k.gaps[frame] = broker.Later(p.evidence.watermark, p.topics[string(topic)].chain)
	}
	k.frames = append(k.frames, frame)
	return true
}

func (k *modelSink) WaitRoom(ctx context.Context) error {
	for {
		k.mu.Lock()
		reason, room := k.reason, len(k.frames) <= k.limit/2
		if k.room == nil {
			k.room = make(chan struct{})
		}
		wait := k.room
		k.mu.Unlock()
		switch {
		case reason != "":
			return fmt.Errorf("the stream has ended: %s", reason)
		case room:
			return ctx.Err()
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *modelSink) End(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.endLocked(reason)
}

func (k *modelSink) endLocked(reason string) {
	if k.reason == "" {
		k.reason = reason
	}
	k.signalLocked()
}

func (k *modelSink) signalLocked() {
	if k.room != nil {
		close(k.room)
		k.room = nil
	}
}

// cut ends the stream at once.
func (k *modelSink) cut(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.frames, k.reason = nil, reason
	k.signalLocked()
}

func (k *modelSink) receive(n int) []*sse.Frame {
	k.mu.Lock()
	defer k.mu.Unlock()
	n = min(n, len(k.frames))
	frames := slices.Clone(k.frames[:n])
	k.frames = k.frames[n:]
	k.signalLocked()
	return frames
}

func (k *modelSink) pending() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.frames)
}

// ended tells whether the stream has ended and everything that was pending has been received.
func (k *modelSink) ended() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reason != "" && len(k.frames) == 0
}

func (k *modelSink) endedFor(reason string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reason == reason
}
