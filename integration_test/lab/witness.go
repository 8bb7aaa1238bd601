package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
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
	switch {
	case event.Kind != Dispatched:
	case err != nil:
		w.faults = append(w.faults, fmt.Sprintf("%s event without a readable id: %v", event.Type, err))
	case event.Type == "ready":
		if !w.started {
			w.start, w.started = id, true
		}
	case event.Type == "gap":
		w.receipts = append(w.receipts, receipt{id: id, at: now, gap: w.receiveGap(event, id, moved)})
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
	w.open = slices.DeleteFunc(w.open, func(g *gap) bool {
		head := `{"topic":"` + g.name
		if user, personal := strings.CutPrefix(g.name, "@"); personal {
			head = `{"user":"` + user
		}
		if !strings.HasPrefix(event.Data, head+`",`) {
			return false
		}
		g.oldest = id
		return true
	})
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

// receiveGap reads a gap event. It reaches to the oldest event that is kept. Where none is, it reaches up to its own id,
// included, or that of the last of several in a row; with no such id, to the next event of its topic.
func (w *witness) receiveGap(event Event, id ID, moved bool) *gap {
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
	switch {
	case moved:
		for _, before := range w.open {
			before.oldest = ID{id.MS, id.Seq + 1}
		}
		w.open = w.open[:0]
	case data.Oldest == "":
		w.open = append(w.open, &g)
	}
	return &g
}
