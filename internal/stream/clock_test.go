package stream

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/sse"
)

// A wallClock can be stepped, as that of a machine is, while the time that timers run by goes on evenly.
type wallClock struct{ ahead atomic.Int64 }

func (c *wallClock) now() time.Time            { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *wallClock) step(by time.Duration)     { c.ahead.Add(int64(by)) }
func (c *wallClock) in(d time.Duration) Params { return Params{Expiry: c.now().Round(0).Add(d)} }

// A token says in wall-clock time when it ends, and its streams end then, whatever happens to the clock meanwhile.
func TestWheel_ExpiryFollowsTheWallClock(t *testing.T) {
	clock := &wallClock{}
	opts := defaults()
	opts.Heartbeat, opts.Clock = time.Hour, clock.now // so that it is not a heartbeat that notices
	inBubble(t, opts, func(t *testing.T, b *bubble) {
		wants := func(when string, st bubbled, gone bool) {
			t.Helper()
			synctest.Wait()
			if st.isGone() != gone {
				t.Errorf("%s: gone %t, want %t", when, st.isGone(), gone)
			}
		}
		short, long, endless := b.open(t, clock.in(30*time.Minute)), b.open(t, clock.in(90*time.Minute)), b.open(t, Params{})
		time.Sleep(time.Minute)
		wants("before any step", short, false)

		clock.step(time.Hour)
		time.Sleep(time.Second)
		wants("an hour forward, past exp", short, true)
		wants("an hour forward, before exp", long, false)
		time.Sleep(29*time.Minute - 2*time.Second)
		wants("just before exp", long, false)
		time.Sleep(2 * time.Second)
		wants("at exp", long, true)

		clock.step(-2 * time.Hour)
		young, old := b.open(t, clock.in(10*time.Minute)), b.open(t, clock.in(time.Hour))
		time.Sleep(10*time.Minute - time.Second)
		wants("opened after a step back", young, false)
		clock.step(-time.Hour)
		time.Sleep(time.Hour)
		wants("stepped back before exp", young, false)
		time.Sleep(2 * time.Second)
		wants("at exp after all", young, true)
		wants("before exp", old, false)
		time.Sleep(50*time.Minute + time.Second)
		wants("at exp, two steps later", old, true)
		wants("without exp", endless, false)
	})
}

func TestWheel_NoticeFollowsTheWallClock(t *testing.T) {
	clock := &wallClock{}
	opts := defaults()
	opts.Heartbeat, opts.Clock = time.Hour, clock.now
	inBubble(t, opts, func(t *testing.T, b *bubble) {
		p := clock.in(2 * time.Hour)
		p.Notice, p.NoticeAt = sse.NewFrame([]byte("event: notice\ndata: {}\n"), ""), clock.now().Add(time.Hour)
		st := b.open(t, p)
		clock.step(61 * time.Minute)
		time.Sleep(time.Second)
		synctest.Wait()
		if body := st.body(); body != "event: notice\ndata: {}\n\n" || st.isGone() {
			t.Errorf("got %q after the step, gone: %t", body, st.isGone())
		}
	})
}

// A clock that is corrected by and by moves expiries along, too.
func TestWheel_ExpiryFollowsASlewedClock(t *testing.T) {
	clock := &wallClock{}
	opts := defaults()
	opts.Heartbeat, opts.Clock = time.Hour, clock.now
	inBubble(t, opts, func(t *testing.T, b *bubble) {
		exp := clock.in(time.Hour)
		st := b.open(t, exp)
		for !st.isGone() {
			time.Sleep(time.Second)
			clock.step(100 * time.Millisecond)
			synctest.Wait()
			if clock.now().After(exp.Expiry.Add(2 * time.Second)) {
				t.Fatal("it outlives its token")
			}
		}
		if early := exp.Expiry.Sub(clock.now()); early > 2*time.Second {
			t.Errorf("it ended %s early", early)
		}
	})
}

// The end of the year 9999 is the last date that a token may say.
func TestWheel_TakesExpiriesFarAway(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		st := b.open(t, Params{Expiry: time.Unix(253402300799, 0)})
		time.Sleep(time.Hour)
		synctest.Wait()
		if st.isGone() {
			t.Error("it has ended")
		}
	})
}

// A stream whose notice, end and deadline are due together is told all the same: its page has to renew its token.
func TestWheel_TellsStreamsThatExpireAtOnce(t *testing.T) {
	inBubble(t, defaults(), func(t *testing.T, b *bubble) {
		now := time.Now()
		st := b.open(t, Params{
			Expiry: now.Add(2 * time.Millisecond), Deadline: now.Add(3 * time.Millisecond),
			NoticeAt: now.Add(time.Millisecond), Notice: sse.NewFrame([]byte("event: notice\ndata: {}\n"), ""),
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if body := st.body(); body != "event: notice\ndata: {}\n\n" || !st.isGone() {
			t.Errorf("got %q, gone: %t", body, st.isGone())
		}
	})
}
