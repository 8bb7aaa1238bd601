package stream

import (
	"sync/atomic"

	"sse-gateway/internal/sse"
)

// Why a stream ended: the label of its metric.
const (
	ReasonClient  = "client"      // the client went away
	ReasonSlow    = "slow"        // the queue was full
	ReasonStalled = "stalled"     // nothing could be written for Options.Stall
	ReasonDrain   = "drain"       // the replica stops
	ReasonMaxAge  = "max_age"     // Options.MaxAge
	ReasonClosed  = sse.EndClosed // every topic was closed
	ReasonCut     = sse.EndCut    // the user was cut off
	ReasonExpired = "expired"     // Params.Expiry
	ReasonLost    = sse.EndLost   // events are missing, and the stream takes no gap
	ReasonError   = "error"       // anything else
)

// reason is one of the above in a byte; the zero reason is that of a stream that is open.
type reason uint8

const (
	reasonNone reason = iota
	reasonClient
	reasonSlow
	reasonStalled
	reasonDrain
	reasonMaxAge
	reasonClosed
	reasonCut
	reasonExpired
	reasonLost
	reasonError
	reasonCount
)

// label is the reason's text.
func (r reason) label() string {
	return [reasonCount]string{
		reasonClient: ReasonClient, reasonSlow: ReasonSlow, reasonStalled: ReasonStalled,
		reasonDrain: ReasonDrain, reasonMaxAge: ReasonMaxAge, reasonClosed: ReasonClosed,
		reasonCut: ReasonCut, reasonExpired: ReasonExpired, reasonLost: ReasonLost, reasonError: ReasonError,
	}[r]
}

// parseReason returns the reason of a label, reasonError for one that is not in the list.
func parseReason(label string) reason {
	for r := reasonClient; r < reasonCount; r++ {
		if r.label() == label {
			return r
		}
	}
	return reasonError
}

// Stats is what has happened since New.
type Stats struct {
	Open      int              // streams open now
	Delivered int64            // events written, each stream's counted; heartbeats are none
	Bytes     int64            // all bytes, those of heartbeats too
	Writes    int64            // writes that took them: a write carries all that is pending of a stream
	Closed    map[string]int64 // ended streams by reason; holds every reason
}

// counters are updated from every goroutine that writes or ends streams.
type counters struct {
	open, delivered, bytes, writes atomic.Int64
	closed                         [reasonCount]atomic.Int64
}

// add counts one writer's work.
func (c *counters) add(t tally) {
	c.delivered.Add(int64(t.events))
	c.bytes.Add(int64(t.bytes))
	c.writes.Add(int64(t.writes))
}

// tally is the work of one writer since it last reported to the counters.
type tally struct{ events, bytes, writes int }

// Stats reads the counters.
func (s *Streams) Stats() Stats {
	c := &s.counters
	stats := Stats{
		Open:      int(c.open.Load()),
		Delivered: c.delivered.Load(),
		Bytes:     c.bytes.Load(),
		Writes:    c.writes.Load(),
		Closed:    make(map[string]int64, reasonCount-1),
	}
	for r := reasonClient; r < reasonCount; r++ {
		stats.Closed[r.label()] = c.closed[r].Load()
	}
	return stats
}
