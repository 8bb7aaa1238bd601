package testkit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoll_ReturnsTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		notYet := errors.New("not yet")
		if err := Poll(time.Minute, func() error { tries++; return notYet }); !errors.Is(err, notYet) || time.Since(began) < time.Minute {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		tries = 0
		if err := Poll(time.Minute, func() error {
			if tries++; tries < 3 {
				return notYet
			}
			return nil
		}); err != nil || tries != 3 {
			t.Errorf("got %v after %d tries", err, tries)
		}
	})
}

func TestDial_ReturnsARefusalAtOnce(t *testing.T) {
	began := time.Now()
	if conn, err := Dial(FreeAddr(t)); err == nil || time.Since(began) > Patience/2 {
		t.Errorf("got %v, %v after %v", conn, err, time.Since(began))
	}
}
