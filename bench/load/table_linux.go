package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// table renders everything measured as Markdown.
func (c *comparing) table() string {
	var b strings.Builder
	b.WriteString("| workload | figure | gateway | nchan | gateway ÷ nchan | goal | met |\n|---|---|--:|--:|--:|---|---|\n")
	for _, r := range c.results {
		name := r.title()
		for _, row := range r.Rows {
			ours, theirs := r.median("gateway", row.Figure), r.median("nchan", row.Figure)
			goal, met := row.Goal.judge(ours, theirs)
			if row.Goal.OrFull && met == "no" && r.median("gateway", busyLoad) > 90 {
				met = "yes: the core of Redis is full"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n",
				name, row.Figure, number(ours), number(theirs), ratio(ours, theirs), goal, met)
			name = ""
		}
		for _, system := range []string{"gateway", "nchan"} {
			if tool := r.median(system, busyTool); tool > 80 {
				fmt.Fprintf(&b, "| | (the load tool was %.0f %% busy with %s) | | | | | |\n", tool, system)
			}
			if others := r.median(system, busyOthers); others > 15 {
				fmt.Fprintf(&b, "| | (other processes took %.0f %% of a core from %s) | | | | | |\n", others, system)
			}
		}
	}
	b.WriteString(c.storms())
	for _, s := range c.sizes {
		fmt.Fprintf(&b, "\n%s (gateway)\n\n| %s | %s |\n|--:|%s\n", s.Title, s.Size, strings.Join(s.series.Figures, " | "),
			strings.Repeat("--:|", len(s.series.Figures)))
		for i, size := range s.Sizes {
			fmt.Fprintf(&b, "| %s |", number(float64(size)))
			for _, figure := range s.series.Figures {
				v, ok := s.Figures[i][figure]
				if !ok {
					v = math.NaN()
				}
				fmt.Fprintf(&b, " %s |", number(v))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// storms compares how fast the gateway opens streams of own topics with and without Redis.
func (c *comparing) storms() string {
	rate := make(map[bool]float64)
	for _, r := range c.results {
		if r.Work == "storm" && r.Params.OwnTopics {
			rate[r.Redis] = r.median("gateway", streamsRate)
		}
	}
	if len(rate) < 2 {
		return ""
	}
	return fmt.Sprintf("\nOpening streams of own topics takes the gateway %s times as long with Redis as without (goal: ≤ 2).\n",
		number(rate[false]/rate[true]))
}

// judge words the goal and says whether it is met.
func (g goal) judge(ours, theirs float64) (text, met string) {
	var parts []string
	ok := true
	bound := func(value, limit float64, format string, holds bool) {
		if limit != 0 {
			parts = append(parts, fmt.Sprintf(format, number(limit)))
			ok = ok && holds && !math.IsNaN(value)
		}
	}
	bound(ours/theirs, g.RatioMin, "≥ %s ×", ours/theirs >= g.RatioMin)
	bound(ours/theirs, g.RatioMax, "≤ %s ×", ours/theirs <= g.RatioMax)
	bound(ours, g.Min, "≥ %s", ours >= g.Min)
	bound(ours, g.Max, "≤ %s", ours <= g.Max)
	if g.OrFull {
		parts = append(parts, "or Redis's core full")
	}
	switch {
	case len(parts) == 0:
		return "", ""
	case ok:
		return strings.Join(parts, ", "), "yes"
	default:
		return strings.Join(parts, ", "), "no"
	}
}

func ratio(ours, theirs float64) string {
	if math.IsNaN(ours) || math.IsNaN(theirs) || theirs == 0 {
		return ""
	}
	return strconv.FormatFloat(ours/theirs, 'f', 2, 64)
}

// number writes three significant digits, and all of those before the point, in groups of three.
func number(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	decimals := 0
	if v != math.Trunc(v) {
		switch a := math.Abs(v); {
		case a < 10:
			decimals = 2
		case a < 100:
			decimals = 1
		}
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole
}

// brief is what a progress line shows.
func brief(f figures) string {
	var parts []string
	for _, name := range []string{
		memoryStream, streamsRate, deliveriesRate, publishesRate, cpuDelivery, cpuPublish, latencyP50, latencyP99, busyServer, busyLoad,
	} {
		if v, ok := f[name]; ok {
			parts = append(parts, number(v)+" "+name)
		}
	}
	return strings.Join(parts, ", ")
}
