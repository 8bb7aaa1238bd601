package lab

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// A Table collects verdicts by fault, summed where a fault comes again. Its zero value is ready.
type Table struct {
	mu   sync.Mutex
	rows []tableRow // guarded by mu
}

type tableRow struct {
	name string
	runs int
	Verdict
}

// Add adds a verdict.
func (t *Table) Add(name string, v Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.IndexFunc(t.rows, func(row tableRow) bool { return row.name == name })
	if at < 0 {
		t.rows = append(t.rows, tableRow{name: name, runs: 1, Verdict: v})
		return
	}
	row := &t.rows[at]
	row.runs++
	row.Events += v.Events
	row.Unsure += v.Unsure
	row.Deliveries += v.Deliveries
	row.Lost += v.Lost
	row.Duplicated += v.Duplicated
	row.OutOfOrder += v.OutOfOrder
	row.Ghosts += v.Ghosts
	row.Gaps += v.Gaps
	row.Told += v.Told
	row.Reconnects += v.Reconnects
	row.Silence = max(row.Silence, v.Silence)
	row.Delay = max(row.Delay, v.Delay)
}

// String shows the table.
func (t *Table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "runs\tevents\tdeliveries\treconnects\tlost\tduplicated\tout of order\tghosts\tgaps\ttold by gap\tworst interruption\tworst delay\t  fault")
	for _, row := range t.rows {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t  %s\n", row.runs, row.Events, row.Deliveries, row.Reconnects,
			row.Lost, row.Duplicated, row.OutOfOrder, row.Ghosts, row.Gaps, row.Told,
			row.Silence.Round(time.Millisecond), row.Delay.Round(time.Millisecond), row.name)
	}
	_ = w.Flush() // to a strings.Builder
	return text.String()
}
