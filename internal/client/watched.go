package client

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	errSilent   = errors.New("no sign of life")
	errCutShort = errors.New("the connection was lost")
)

// A watched body is cut off when nothing has come for a while: a peer that has died without a word would never be noticed
// otherwise, and the heartbeat of a stream comes far more often.
type watched struct {
	body   io.ReadCloser
	idle   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func newWatched(body io.ReadCloser, idle time.Duration, cancel context.CancelCauseFunc) *watched {
	return &watched{body: body, idle: idle, timer: time.AfterFunc(idle, func() { cancel(errSilent) }), cancel: cancel}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if n > 0 {
		w.timer.Reset(w.idle)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}
