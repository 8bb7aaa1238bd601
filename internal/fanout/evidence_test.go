package fanout

import (
	"testing"
	"time"

	"sse-gateway/internal/broker"
)

func TestEvidence_KeepsItsIDsInOrder(t *testing.T) {
	var e evidence
	check := func(what string, watermark, seen, born uint64) {
		t.Helper()
		want := evidence{watermark: broker.ID{MS: watermark}, seen: broker.ID{MS: seen}, born: broker.ID{MS: born}}
		if e.watermark != want.watermark || e.seen != want.seen || e.born != want.born {
			t.Errorf("%s: watermark %s, seen %s, born %s, want %s, %s, %s", what, e.watermark, e.seen, e.born, want.watermark, want.seen, want.born)
		}
	}
	e.reborn(broker.ID{MS: 5})
	check("a birth is seen, but nothing is dispatched", 0, 5, 5)
	e.passed(broker.ID{MS: 12})
	check("what is dispatched is seen", 12, 12, 5)
	e.saw(broker.ID{MS: 13})
	check("what is seen need not be dispatched", 12, 13, 5)
	e.saw(broker.ID{MS: 11})
	e.passed(broker.ID{MS: 10})
	check("neither falls", 12, 13, 5)
	if e.reborn(broker.ID{MS: 5}) || e.reborn(broker.ID{MS: 4}) {
		t.Error("an old birth is news")
	}
	if !e.reborn(broker.ID{MS: 20}) {
		t.Error("a birth is no news")
	}
	check("a birth comes after all", 12, 20, 20)
}

func TestEvidence_ReportsALossOnceOnAConnection(t *testing.T) {
	born := broker.ID{MS: 5}
	e := evidence{born: born}
	e.suspect(false)
	if e.mustReport() || !e.report().IsZero() {
		t.Error("a loss is reported that nobody has found")
	}
	e.suspect(true)
	e.suspect(false)
	if !e.mustReport() || e.report() != born {
		t.Error("the loss is not reported with the birth that was known")
	}
	if e.mustReport() || e.report() != born {
		t.Error("the next marks prove it too, but none is sent for it alone")
	}
	e.connected()
	if !e.mustReport() {
		t.Error("a new connection is to report it again: the mark may have been lost")
	}
	e.reborn(broker.ID{MS: 9})
	if e.mustReport() || !e.report().IsZero() {
		t.Error("a loss is reported that a birth has answered")
	}
	e.returned(broker.ID{MS: 9})
	if e.mustReport() {
		t.Error("the birth that is known proves a loss")
	}
	if e.returned(broker.ID{MS: 5}); !e.mustReport() {
		t.Error("a birth of the past proves no loss")
	}
}

func TestEvidence_SureAndForgotten(t *testing.T) {
	e := evidence{watermark: broker.ID{MS: 40}, born: broker.ID{MS: 10}}
	if got := e.sure(broker.ID{MS: 43}); got != (broker.ID{MS: 43}) {
		t.Errorf("no connection has ended: sure of %s, want 43-0", got)
	}
	e.connected()
	e.passed(broker.ID{MS: 50})
	if got := e.sure(broker.ID{MS: 43}); got != (broker.ID{MS: 40}) {
		t.Errorf("sure of %s, want 40-0, where the last connection ended", got)
	}
	if got := e.sure(broker.ID{MS: 30}); got != (broker.ID{MS: 30}) {
		t.Errorf("sure of %s, want the stream's own 30-0", got)
	}
	if got := e.forgotten(30 * time.Millisecond); got != (broker.ID{MS: 20}) {
		t.Errorf("forgotten up to %s, want 20-0: 30 ms before the watermark", got)
	}
	if got := e.forgotten(time.Hour); got != (broker.ID{MS: 10}) {
		t.Errorf("forgotten up to %s, want the birth at 10-0", got)
	}
}
