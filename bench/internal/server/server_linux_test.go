package server

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCPUAndMemory_CountDescendants(t *testing.T) {
	dir := t.TempDir()
	// The shell waits; its child burns processor time until it is killed.
	p, err := start(0, dir, nil, "sh", "-c", "sh -c 'while :; do :; done' & echo up; wait")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	err = p.await(func() error {
		used, err := CPU(p.PID)
		if err == nil && used < 5*tick {
			err = errors.New("nothing used yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	both, err := Memory(p.PID)
	if err != nil || both <= 0 {
		t.Errorf("memory: got %d, %v", both, err)
	}
	pids, err := family(p.PID)
	if err != nil || len(pids) != 2 {
		t.Fatalf("family: got %v, %v", pids, err)
	}
	p.Stop()
	if p.Running() {
		t.Error("still running")
	}
	deadline := time.Now().Add(5 * time.Second)
	for ; time.Now().Before(deadline); time.Sleep(time.Millisecond) { //nolint:forbidigo // polls a process
		if fields, err := stat(pids[1]); err != nil || fields[0][0] == 'Z' {
			return
		}
	}
	t.Error("the child has survived")
}

func TestRollup(t *testing.T) {
	const text = "00400000-7fff rollup\nRss:  2048 kB\nPss:   1024 kB\nPss_Dirty:  1 kB\n"
	if got, err := rollup([]byte(text), "Pss:"); got != 1024 || err != nil {
		t.Errorf("got %d, %v, want 1024", got, err)
	}
	for _, bad := range []string{"", "Pss: many kB\n"} {
		if _, err := rollup([]byte(bad), "Pss:"); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestAllTimes(t *testing.T) {
	got, err := allTimes([]byte("cpu  1 2 3 1000 1000 4 5 6 7 8"))
	if want := 21 * tick; got != want || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3 4 5 6 7", "cpu a 2 3 4 5 6 7 8 9"} {
		if _, err := allTimes([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if all, err := AllCPU(); all <= 0 || err != nil {
		t.Errorf("this machine: got %v, %v", all, err)
	}
}

func TestStart_SaysWhyAServerDoesNotComeUp(t *testing.T) {
	p, err := start(0, t.TempDir(), nil, "sh", "-c", "echo out of luck; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(func() error { return errors.New("not up") })
	if err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v", err)
	}
	if _, err := start(0, t.TempDir()+"/absent", nil, "true"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: got %v", err)
	}
}
