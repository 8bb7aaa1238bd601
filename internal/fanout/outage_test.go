package fanout

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutage_TellsOnceForAllPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := newOutage(slog.New(slog.NewTextHandler(&log, nil)))
		o.over(0) // the first connection of all is nothing to tell
		lines := func() string {
			defer log.Reset()
			return log.String()
		}
		refused := errors.New("refused")
		for partition := range 16 {
			o.failed(partition, refused)
		}
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="no connection to Redis, trying again" err=refused`) {
			t.Errorf("at first:\n%s", got)
		}
		for range 3600 { // an hour in which each partition tries once a second
			time.Sleep(time.Second)
			for partition := range 16 {
				o.failed(partition, refused)
			}
		}
		// After 2, 6, 14, 30, 62, 126, 254 and 510 s, then every 5 minutes.
		if got := lines(); strings.Count(got, "\n") != 18 || !strings.Contains(got, "still no connection to Redis") || !strings.Contains(got, "away=14s partitions=16 err=refused") {
			t.Errorf("within an hour %d lines:\n%s", strings.Count(got, "\n"), got)
		}
		for partition := range 15 {
			o.over(partition)
		}
		if got := lines(); got != "" {
			t.Errorf("with one partition still away:\n%s", got)
		}
		o.over(15)
		o.over(15)
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=INFO msg="Redis is back" away=1h0m0s`) {
			t.Errorf("when it is back:\n%s", got)
		}
		o.failed(3, refused)
		if got := lines(); strings.Count(got, "\n") != 1 {
			t.Errorf("when it is away again:\n%s", got)
		}
	})
}
