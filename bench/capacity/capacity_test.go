package main

import (
	"bytes"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
)

func estimateOf(t *testing.T, args ...string) sizes {
	t.Helper()
	l, err := parseLoad(args, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	return estimate(l, measured())
}

// Worked out by hand from the costs.
func TestEstimate_IsWhatTheCostsAddUpTo(t *testing.T) {
	s := estimateOf(t, "-streams", "100000", "-rate", "1000", "-fanout", "10", "-topics", "10000")
	for name, test := range map[string]struct{ got, want float64 }{
		"deliveries":   {s.Deliveries, 10_000},
		"publishing":   {s.PublishCPU, 0.055},
		"delivering":   {s.DeliveryCPU, 0.135},
		"receiving":    {s.ReceiveCPU, 0.0075},                     // by 3 replicas each
		"idling":       {s.IdleCPU, 100_000.0 / 15 * 13.5e-6},      // heartbeats
		"replicas":     {s.Replicas, 3},                            // 2 of 50,000 streams, and one
		"Redis":        {s.RedisCPU, 1000 * (18 + 2*0.7) * 1e-6},   // 3 replicas
		"history":      {s.RedisMemory, 10_000 * (4500 + 360*198)}, // an hour of 0.1 events a second
		"Redis works":  {s.ReconnectRedis.Seconds(), 30e3*75e-6 + 70e3*2.5e-6},
		"memory":       {s.Memory, 18e6 + 50_000*632 + 10_000*385},       // when one is away
		"reconnecting": {s.ReconnectCPU, 30e3*190e-6 + 70e3*68e-6},       // each topic on 3 replicas, and the others
		"all are back": {s.Reconnect.Seconds(), 4.5},                     // the longest retry
		"one dies":     {s.ReconnectOne.Seconds(), 4.5},                  // the same
		"outgoing":     {s.ToSubscribers, 10_000*256 + 100_000.0/15*106}, // events and heartbeats
	} {
		if math.Abs(test.got-test.want) > test.want/1e6 {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func TestEstimate_GrowsWithWhatIsAsked(t *testing.T) {
	small, large := estimateOf(t, "-streams", "1e4", "-rate", "1e3"), estimateOf(t, "-streams", "1e6", "-rate", "1e5")
	for name, pair := range map[string][2]float64{
		"replicas": {small.Replicas, large.Replicas}, "Redis": {small.RedisCPU, large.RedisCPU},
		"primaries": {small.Primaries, large.Primaries}, "bandwidth": {small.ToSubscribers, large.ToSubscribers},
		"reconnect": {small.ReconnectCPU, large.ReconnectCPU}, "Redis memory": {small.RedisMemory, large.RedisMemory},
	} {
		if !(pair[1] > pair[0]) {
			t.Errorf("%s: %v for a hundred times as much as %v", name, pair[1], pair[0])
		}
	}
	if batched := estimateOf(t, "-rate", "1e5", "-batched"); batched.PublishCPU >= large.PublishCPU || batched.RedisCPU >= large.RedisCPU {
		t.Errorf("batches save nothing: %+v", batched)
	}
	if large.Primaries < 2 || large.RedisCPU/large.Primaries > 0.6 {
		t.Errorf("%v primaries for %v cores, more than 60 %% busy", large.Primaries, large.RedisCPU)
	}
}

func TestParseLoad_RefusesWhatCannotBe(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-streams 0", "-streams is 0"},
		{"-rate -1", "-rate is -1"},
		{"-busy 2", "-busy is 2"},
		{"-streams 10 -fanout 11", "-fanout is 11"},
		{"-streams NaN", "-streams is NaN"},
		{"-heartbeat 0s", "-heartbeat is 0"},
		{"more", `"more" is not understood`},
		{"-streams x", "invalid value"},
	} {
		if _, err := parseLoad(strings.Fields(test.args), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that says %q", test.args, err, test.want)
		}
	}
}

// What CAPACITY.md shows is what the commands print, and its costs are these.
func TestCapacity_ShowsWhatIsPrinted(t *testing.T) {
	text, err := os.ReadFile("../CAPACITY.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?s)    \$ go run \./bench/capacity ([^\n]*)\n(.*?)\n\n[^ \n]`).FindAllStringSubmatch(string(text), -1)
	if len(shown) < 2 {
		t.Fatalf("%d examples", len(shown))
	}
	for _, example := range shown {
		var out bytes.Buffer
		if err := command(t.Context(), strings.Fields(example[1]), &out, &out); err != nil {
			t.Fatal(err)
		}
		printed, _, _ := strings.Cut(out.String(), "\nmeasured")
		var want strings.Builder
		for line := range strings.Lines(printed) {
			if strings.TrimSpace(line) != "" {
				line = "    " + line
			}
			want.WriteString(line)
		}
		if got := strings.TrimSpace(example[2]); got != strings.TrimSpace(want.String()) {
			t.Errorf("%s shows\n%s\nand prints\n%s", example[1], got, want.String())
		}
	}
	for _, c := range measured().all() {
		if row := "| " + c.What + " | " + number(c.Value) + " " + c.Unit + " | "; !strings.Contains(string(text), row) {
			t.Errorf("no row %q", row)
		}
	}
}
