package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FloodType is the type of events that a test publishes beside a load, to its topics, to fill queues and buffers.
const FloodType = "flood"

// receive records an event; it is the subscriber's OnEvent.
func (w *witness) receive(event Event) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	moved := event.ID != w.lastID
	w.lastID = event.ID
	id, err := ParseID(event.ID)
	if moved && err == nil {
		for _, g := range w.shared {
			g.oldest = ID{id.MS, id.Seq + 1}
		}
		w.shared = w.shared[:0]
	}
	switch {
	case event.Kind != Dispatched:
	case err != nil:
		w.faults = append(w.faults, fmt.Sprintf("%s event without a readable id: %v", event.Type, err))
	case event.Type == "ready":
		if !w.started {
			w.start, w.started = id, true
		}
	case event.Type == "gap":
		g := w.parseGap(event, id)
		if !moved {
			w.shared = append(w.shared, g)
		}
		w.receipts = append(w.receipts, receipt{id: id, at: now, gap: g})
	case event.Type == "message":
		w.receiveMessage(event, id, now)
	case event.Type != "position" && event.Type != FloodType:
		w.faults = append(w.faults, fmt.Sprintf("event of type %q", event.Type))
	}
}

func (w *witness) receiveMessage(event Event, id ID, now time.Time) {
	serial, err := parseSerial(event.Data)
	if err != nil {
		w.faults = append(w.faults, fmt.Sprintf("data %.100q: %v", event.Data, err))
		return
	}
	if w.listening {
		w.silence = max(w.silence, now.Sub(w.heard))
		w.heard = now
	}
	w.receipts = append(w.receipts, receipt{serial: serial, id: id, at: now})
	if final := w.final.Load(); final >= 0 && int64(serial) >= final {
		w.marks.Add(1)
	}
}

// parseSerial reads the data of {"topic":"t","data":17}. Cheaply: it is most of what a load test does.
func parseSerial(data string) (int, error) {
	_, number, ok := strings.Cut(data, `","data":`)
	number, end := strings.CutSuffix(number, "}")
	if !ok || !end {
		return 0, fmt.Errorf("no envelope")
	}
	return strconv.Atoi(number)
}

// parseGap reads a gap event. Without an oldest id, nothing is kept: the gap reaches up to its own id, included; that of
// several gaps in a row comes with the last of them.
func (w *witness) parseGap(event Event, id ID) *gap {
	var data struct {
		Topic  string `json:"topic"`
		User   string `json:"user"`
		After  string `json:"after"`
		Oldest string `json:"oldest"`
	}
	g := gap{oldest: ID{id.MS, id.Seq + 1}}
	err := json.Unmarshal([]byte(event.Data), &data)
	if err == nil && data.After != "" {
		g.after, err = ParseID(data.After)
	}
	if err == nil && data.Oldest != "" {
		g.oldest, err = ParseID(data.Oldest)
	}
	if err != nil {
		w.faults = append(w.faults, fmt.Sprintf("gap %.100q: %v", event.Data, err))
	}
	g.name = cmp.Or(data.Topic, "@"+data.User)
	return &g
}
