package fanout

import "time"

// bounds are how much of the recent past a partition keeps in memory, and how much of it is read at once. They are not
// settings of the gateway; the model test makes them small, so that few events reach them.
type bounds struct {
	// How much of a topic's recent past is kept for replays, and of all topics of a partition together.
	logEvents, logBytes, partitionLogs int
	// What may wait for a catch-up to end; beyond that a catch-up is followed by another.
	backlogEvents, backlogBytes int
	// catchPage is how many events of one topic a catch-up reads at once, catchBytes how much it holds of all.
	catchPage, catchBytes int
	// fillEvents, fillBytes and fillBack: a replay reads at most so many events into a topic's log, so many bytes into all
	// its topics' together, and somewhat older ones than it needs itself, since the streams of a lost replica come back one after the other, each with its own position.
	fillEvents, fillBytes int
	fillBack              time.Duration
	// deepEvents is how many events a replay that leaves the logs behind holds at once, over all its topics; deepPage is
	// how many it reads of one topic at least.
	deepEvents, deepPage int
	// How many replays may read at a time, and how much together. The pages of the HTTP surface are read on the same terms.
	reads, readBytes int
	// How many pages may be held for those who asked for them, of one of them, and how much together.
	pages, pagesOfOne, pageBytes int
}

func defaultBounds() bounds {
	return bounds{
		logEvents: 512, logBytes: 512 << 10, partitionLogs: 64 << 20,
		backlogEvents: 16384, backlogBytes: 32 << 20,
		catchPage: 64, catchBytes: 4 << 20,
		fillEvents: 256, fillBytes: 1 << 20, fillBack: 5 * time.Second,
		deepEvents: 512, deepPage: 8,
		reads: 8, readBytes: 16 << 20,
		pages: 256, pagesOfOne: 64, pageBytes: 64 << 20,
	}
}
