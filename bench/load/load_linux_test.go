package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"sse-gateway/bench/internal/faulty"
)

// driveArgs runs one short workload against a server in this process.
func driveArgs(t *testing.T, fault faulty.Fault, args ...string) (stdout string, err error) {
	t.Helper()
	ts := httptest.NewServer(faulty.New(fault))
	t.Cleanup(ts.Close)
	var out bytes.Buffer
	err = command(context.Background(), append([]string{
		"drive", "-addr", ts.Listener.Addr().String(), "-pid", fmt.Sprint(os.Getpid()),
		"-warmup", "50ms", "-duration", "200ms", "-streams", "20", "-topics", "20", "-publishers", "4", "-drain", "2s", "-settle", "250ms",
	}, args...), &out, os.Stderr)
	return out.String(), err
}

func TestDrive_RunsEveryWorkload(t *testing.T) {
	for work, want := range map[string]string{
		"idle":    memoryStream,
		"storm":   streamsRate,
		"fanout":  deliveriesRate,
		"rate":    latencyP99,
		"topics":  cpuDelivery,
		"publish": cpuPublish,
		"ndjson":  publishesRate,
	} {
		t.Run(work, func(t *testing.T) {
			t.Parallel()
			out, err := driveArgs(t, faulty.None, "-workload", work, "-own-topics", "-idle", "5", "-rate", "100")
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("got %v and %q, want %q", err, out, want)
			}
		})
	}
}

func TestDrive_FailsOnAnyFault(t *testing.T) {
	for name, tt := range map[string]struct {
		fault faulty.Fault
		want  string
	}{
		"lost":      {func(n int) (int, bool) { return min(n&7, 1), false }, " lost"},
		"doubled":   {func(n int) (int, bool) { return 1 + n%2, false }, " doubled"},
		"reordered": {func(n int) (int, bool) { return 1, n%5 == 3 }, " reordered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := driveArgs(t, tt.fault, "-workload", "topics", "-publishers", "40")
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), " 0"+tt.want) {
				t.Errorf("got %v, want%s", err, tt.want)
			}
		})
	}
}

func TestCommand_RefusesWhatItCannotDo(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":          {},
		"unknown command":  {"race"},
		"unknown workload": {"single", "-workload", "race"},
		"too many streams": {"drive", "-streams", "30000"},
		"idle without pid": {"drive", "-workload", "idle"},
		"two replicas":     {"drive", "-workload", "replicas"},
		"bad address":      {"drive", "-addr", "localhost"},
		"bad expression":   {"compare", "-only", "("},
	} {
		if err := command(context.Background(), args, t.Output(), t.Output()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlan_IsBoundedAndNamesItsWorkloads(t *testing.T) {
	bounded := func(name, work string, p params) {
		if _, err := findWorkload(work); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p = p.withDefaults()
		if files := p.Streams + p.Idle + p.Topics/p.PerStream + p.Publishers; files > maxFiles-500 {
			t.Errorf("%s: needs %d open files", name, files)
		}
		if p.Warmup+p.Duration > 5*time.Second {
			t.Errorf("%s: takes longer than 5 s", name)
		}
	}
	for _, c := range plan() {
		bounded(c.title(), c.Work, c.Params)
	}
	for _, s := range growth() {
		for _, size := range s.Sizes {
			bounded(s.Name, s.Work, s.Params(size))
		}
	}
}

func TestGoal_Judge(t *testing.T) {
	for name, tt := range map[string]struct {
		goal         goal
		ours, theirs float64
		text, met    string
	}{
		"none":           {goal{}, 1, 2, "", ""},
		"ratio met":      {goal{RatioMin: 3}, 301, 100, "≥ 3 ×", "yes"},
		"ratio missed":   {goal{RatioMin: 3}, 299, 100, "≥ 3 ×", "no"},
		"no worse":       {goal{RatioMax: 1}, 10, 10, "≤ 1 ×", "yes"},
		"value met":      {goal{Max: 1000}, 700, math.NaN(), "≤ 1,000", "yes"},
		"value missed":   {goal{Min: 60_000}, 59_999, 1, "≥ 60,000", "no"},
		"both":           {goal{RatioMin: 2, Max: 40}, 40, 20, "≥ 2 ×, ≤ 40", "yes"},
		"not measured":   {goal{Max: 40}, math.NaN(), 20, "≤ 40", "no"},
		"without a peer": {goal{RatioMin: 2}, 40, math.NaN(), "≥ 2 ×", "no"},
	} {
		if text, met := tt.goal.judge(tt.ours, tt.theirs); text != tt.text || met != tt.met {
			t.Errorf("%s: got %q %q, want %q %q", name, text, met, tt.text, tt.met)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.123: "0.12", 9: "9", 12.34: "12.3", 123.4: "123", 1234: "1,234", 434_000: "434,000", 1e6: "1,000,000", -1234: "-1,234",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()); got != "–" {
		t.Errorf("NaN: got %q", got)
	}
}

func TestTable_HasMediansAndGrowth(t *testing.T) {
	c := &comparing{
		results: []result{{
			comparison{Name: "fan-out", Redis: true, Rows: []row{{deliveriesRate, goal{RatioMin: 2}}}},
			map[string][]figures{
				"gateway": {{deliveriesRate: 300}, {deliveriesRate: 500}, {deliveriesRate: 900}},
				"nchan":   {{deliveriesRate: 100}, {deliveriesRate: 200, busyTool: 95}},
			},
		}, {
			comparison{Name: "ndjson", Redis: true, Rows: []row{{publishesRate, goal{Min: 60_000, OrFull: true}}}},
			map[string][]figures{"gateway": {{publishesRate: 50_000, busyLoad: 97}}},
		}, {
			comparison{Work: "storm", Params: params{OwnTopics: true}},
			map[string][]figures{"gateway": {{streamsRate: 9000}}},
		}, {
			comparison{Work: "storm", Params: params{OwnTopics: true}, Redis: true},
			map[string][]figures{"gateway": {{streamsRate: 6000}}},
		}},
		sizes: []measuredSeries{{
			series:  series{Size: "subscribers", Figures: []string{deliveriesRate, cpuDelivery}, Sizes: []int{100, 15_000}},
			Title:   "growth",
			Figures: []figures{{deliveriesRate: 7}, nil},
		}},
	}
	got := c.table()
	for _, want := range []string{
		"| redis: fan-out | deliveries/s | 500 | 150 | 3.33 | ≥ 2 × | yes |\n",
		"| redis: ndjson | publishes/s | 50,000 | – |  | ≥ 60,000, or Redis's core full | yes: the core of Redis is full |\n",
		"1.50 times as long with Redis",
		"the load tool was 95 % busy with nchan",
		"| 100 | 7 | – |\n| 15,000 | – | – |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
