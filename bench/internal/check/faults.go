package check

import (
	"fmt"
	"strings"
)

// maxExamples bounds how many faults are described.
const maxExamples = 10

// Faults counts what went wrong. The zero value is a run without fault.
type Faults struct {
	Lost      int // acknowledged or seen elsewhere, and not delivered
	Doubled   int
	Reordered int
	Misrouted int // an event of another topic, or one that was never published
	Refused   int // publishes
	Ended     int // streams, or streams that told of a gap
	Examples  []string
}

// Total returns how many faults there are.
func (f Faults) Total() int {
	return f.Lost + f.Doubled + f.Reordered + f.Misrouted + f.Refused + f.Ended
}

// Err returns the faults as an error, nil when there are none.
func (f Faults) Err() error {
	if f.Total() == 0 {
		return nil
	}
	return fmt.Errorf("%s:\n  %s", f, strings.Join(f.Examples, "\n  "))
}

// String returns the counts in one line.
func (f Faults) String() string {
	return fmt.Sprintf("%d lost, %d doubled, %d reordered, %d misrouted deliveries, %d refused publishes, %d broken streams",
		f.Lost, f.Doubled, f.Reordered, f.Misrouted, f.Refused, f.Ended)
}

func (f *Faults) add(counter *int, format string, args ...any) {
	*counter++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}
