package main

import (
	"strings"
	"testing"
)

// What is to be switched off is where the table says, once: a table that has fallen behind the code proves nothing.
func TestMutations_AreWhereTheTableSays(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations() {
		changed, err := m.apply(root)
		if err != nil {
			t.Errorf("rule %d, %s: %v", m.rule, m.what, err)
			continue
		}
		if m.new == m.old || m.within < 1 || m.what == "" || strings.Contains(m.what, "\n") || len(changed) == 0 {
			t.Errorf("rule %d, %s: the line of the table is not whole", m.rule, m.what)
		}
	}
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		equivalent string
		out        string
		failed     bool
		want       verdict
	}{
		"found":                         {"", "x\n 17 runs, 90 a second\n", true, verdict{found: "17"}},
		"found by a panic":              {"", "panic: x", true, verdict{found: "panic"}},
		"not found":                     {"", "600 runs, 90 a second", false, verdict{found: "-", note: "STAYS GREEN in 600 runs", wrong: true}},
		"equivalent":                    {"why", "600 runs, 90 a second", false, verdict{found: "-", note: "equivalent: why"}},
		"called equivalent, and is not": {"why", "5 runs, 90 a second", true, verdict{found: "5", note: "called equivalent, and is not: why", wrong: true}},
	} {
		m := mutation{equivalent: tt.equivalent}
		got, err := m.judge(tt.out, tt.failed)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
	var m mutation
	if v, err := m.judge("nothing at all", false); err == nil {
		t.Errorf("no run: got %+v, want an error", v)
	}
}
