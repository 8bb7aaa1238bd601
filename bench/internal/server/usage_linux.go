package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on every Linux.
const tick = 10 * time.Millisecond

// family returns a process and all that descend from it.
func family(pid int) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := make(map[int][]int)
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if fields, err := stat(child); err == nil { // else it has just ended
			parent, _ := strconv.Atoi(string(fields[1]))
			children[parent] = append(children[parent], child)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// stat returns the fields of /proc/PID/stat from the state on: the name before it may hold anything.
func stat(pid int) ([][]byte, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("read times: %w", err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return nil, fmt.Errorf("read times of process %d: %d fields", pid, len(fields))
	}
	return fields, nil
}

// CPU returns the processor time, user and system, that a process and its descendants have used.
func CPU(pid int) (time.Duration, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	var ticks int
	for _, pid := range pids {
		fields, err := stat(pid)
		if err != nil {
			return 0, err
		}
		user, err1 := strconv.Atoi(string(fields[11]))
		system, err2 := strconv.Atoi(string(fields[12]))
		if err := errors.Join(err1, err2); err != nil {
			return 0, fmt.Errorf("read times of process %d: %w", pid, err)
		}
		ticks += user + system
	}
	return time.Duration(ticks) * tick, nil
}

// AllCPU returns the processor time that everything on the machine has used, and the hypervisor has kept from it.
func AllCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read times of all: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return allTimes(line)
}

// allTimes adds up the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal guest guest_nice.
func allTimes(line []byte) (time.Duration, error) {
	fields := bytes.Fields(line)
	if len(fields) < 9 {
		return 0, fmt.Errorf("read times of all: %d fields", len(fields))
	}
	total := 0
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // guests count to user and nice
		ticks, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return 0, fmt.Errorf("read times of all: %w", err)
		}
		total += ticks
	}
	return time.Duration(total) * tick, nil
}

// Memory returns the proportional set size, in bytes, of a process and its descendants: what they share, such as the
// zone in which nchan keeps events, counts once.
func Memory(pid int) (int, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		kib, err := rollup(text, "Pss:")
		if err != nil {
			return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
		}
		total += kib << 10
	}
	return total, nil
}

// rollup returns one figure, in KiB, of a smaps_rollup file.
func rollup(text []byte, name string) (int, error) {
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == name {
			kib, err := strconv.Atoi(string(fields[1]))
			if err != nil {
				return 0, fmt.Errorf("parse %q: %w", line, err)
			}
			return kib, nil
		}
	}
	return 0, fmt.Errorf("no line %q", name)
}
