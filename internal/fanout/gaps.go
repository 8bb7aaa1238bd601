package fanout

import (
	"encoding/json"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// pushGapLocked tells the stream a gap (rule 14). It has an id only if it tells a position that is above the stream's.
func (sh *share) pushGapLocked(it *item, frames gapFrames) {
	defer sh.sub.order()()
	if sh.sub.eventsOnly {
		sh.sub.sink.End(sse.EndLost)
		sh.live = false
		return
	}
	id := ""
	if sh.pos.Less(it.tell) {
		sh.pos = it.tell
		id = sh.sub.noteToldLocked()
	} else if !it.tell.IsZero() {
		sh.sub.owesPosition = true // the client's own id may be below the gap: it would be told again
	}
	if !sh.sub.sink.Push(frames.frame(it, id)) {
		sh.live = false
	}
}

// pushAllGapsLocked tells the stream that every one of its topics may miss events after an id, up to at, and with tell that this
// is its position now.
func (sh *share) pushAllGapsLocked(at, after broker.ID, tell bool, frames gapFrames) {
	for i, m := range sh.topics {
		it := item{id: at, topic: m.topic.name, after: after}
		if tell && i == len(sh.topics)-1 {
			it.tell = at
		}
		sh.pushGapLocked(&it, frames)
	}
}

// gapFrames are gaps that have been encoded, so that each is encoded once however many streams are told it: at a birth that is
// all streams, of all topics, under the dispatch lock. A nil one keeps nothing, for a stream on its own.
type gapFrames map[gapKey]*sse.Frame

type gapKey struct {
	topic         string
	after, oldest broker.ID
	id            string
}

// frame encodes a gap that has an id, or "".
func (f gapFrames) frame(it *item, id string) *sse.Frame {
	key := gapKey{topic: it.topic, after: it.after, oldest: it.oldest, id: id}
	frame := f[key]
	if frame != nil {
		return frame
	}
	if id == "" {
		frame = sse.NewFrame(gapBlock(it.topic, it.after, it.oldest), "")
	} else {
		frame = f.frame(it, "").WithID(id)
	}
	if f != nil {
		f[key] = frame
	}
	return frame
}

// gapBlock encodes a gap event. An id that is not known is null.
func gapBlock(topic string, after, oldest broker.ID) []byte {
	var data struct {
		Topic  string  `json:"topic,omitempty"`
		User   string  `json:"user,omitempty"`
		After  *string `json:"after"`
		Oldest *string `json:"oldest"`
	}
	data.Topic, data.User = address.Parse(topic).Fields()
	known := func(id broker.ID) *string {
		if id.IsBeginning() {
			return nil
		}
		text := id.String()
		return &text
	}
	data.After, data.Oldest = known(after), known(oldest)
	text, _ := json.Marshal(data) // strings always encode
	return sse.AppendBlock(nil, sse.TypeGap, 0, text)
}
