package sse

// The types of the events that the gateway itself sends.
const (
	TypeReady    = "ready"    // the stream begins
	TypeGap      = "gap"      // events of a topic may be missing
	TypeClose    = "close"    // the last event of a topic
	TypePosition = "position" // the stream is complete up to its id
	TypeExpiring = "expiring" // the token is about to expire
	// TypeMessage is the type of an event that names none.
	TypeMessage = "message"
	// typeOpen is not sent: no page could tell it from EventSource's own.
	typeOpen = "open"
)

// Reserved tells whether nobody may publish events of a type. An error can be told by its data, and the streams of models have it.
func Reserved(eventType string) bool {
	switch eventType {
	case TypeReady, TypeGap, TypeClose, TypePosition, TypeExpiring, typeOpen:
		return true
	}
	return false
}

// Why the hub ends a stream: the label of a metric. Streams end for other reasons as well, see package stream.
const (
	EndClosed = "closed" // every topic was closed
	EndCut    = "cut"    // the user was cut off
	EndLost   = "lost"   // events are missing, and the stream takes no gap
)
