package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// reloadInterval is how often files that are in use are looked at. They are small, and looking at what they hold works
// however they are replaced: written over, renamed, or by the links of a mounted secret.
const reloadInterval = 10 * time.Second

// A reloader looks from time to time, and on SIGHUP, whether files that are in use have changed.
type reloader struct {
	hangUp chan os.Signal
	stop   chan struct{}
	done   sync.WaitGroup
}

// startReloader calls look, in a goroutine of its own.
func startReloader(look func()) *reloader {
	r := &reloader{hangUp: make(chan os.Signal, 1), stop: make(chan struct{})}
	signal.Notify(r.hangUp, syscall.SIGHUP) // also without anything to look at: it would end the process
	r.done.Go(func() { r.run(look) })
	return r
}

func (r *reloader) run(look func()) {
	tick := time.NewTicker(reloadInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-r.hangUp:
		case <-tick.C:
		}
		look()
	}
}

// close ends the looking and waits for it.
func (r *reloader) close() {
	signal.Stop(r.hangUp)
	close(r.stop)
	r.done.Wait()
}
