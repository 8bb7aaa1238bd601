package fanout

import "time"

// bounds are how much of the recent past a partition keeps in memory, and how much of it is read at once. They are not
// settings of the gateway; the model test makes them small, so that few events reach them.
type bounds struct {
	// How much of a topic's recent past is kept for replays, and of all topics of a partition together.
	logEvents, logBytes, partitionLogs int
	// What may wait for a catch-up to end; beyond that a catch-up is followed by another.
	backlogEvents, backlogBytes int
	// catchPage is how many events of one topic a catch-up reads at once.
	catchPage int
	// fillEvents and fillBack: a replay reads at most so many events into a topic's log, and somewhat older ones than
	// it needs itself, since the streams of a lost replica come back one after the other, each with its own position.
	fillEvents int
	fillBack   time.Duration
	// deepEvents is how many events a replay that leaves the logs behind holds at once, over all its topics; deepPage is
	// how many it reads of one topic at least.
	deepEvents, deepPage int
}

func defaultBounds() bounds {
	return bounds{
		logEvents: 512, logBytes: 512 << 10, partitionLogs: 64 << 20,
		backlogEvents: 16384, backlogBytes: 32 << 20,
		catchPage: 64, fillEvents: 256, fillBack: 5 * time.Second,
		deepEvents: 512, deepPage: 8,
	}
}
