package fanout

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Turns bound how many things are under way, and how many bytes they hold together. Who has to wait is served by turns among
// keys: whoever asks for much waits behind their own requests, not others behind them. A weighted semaphore would do but for
// that.
type turns struct {
	most, mostBytes int // at a time
	mostOfKey       int // of one key at a time; 0: as many as of all

	mu      sync.Mutex // guards all below
	running int
	bytes   int
	keys    map[string]*turnKey // those that have something under way, or wait
	order   []string            // keys that wait; the first is served next
}

// turnKey is what one key has under way, and who waits for it, in order.
type turnKey struct {
	running int
	waiting []*turn
}

// turn is one that waits.
type turn struct {
	bytes   int
	granted chan struct{} // closed when it is under way
}

func newTurns(most, mostBytes, mostOfKey int) *turns {
	return &turns{most: most, mostBytes: mostBytes, mostOfKey: mostOfKey, keys: make(map[string]*turnKey)}
}

// take waits for key's turn with so many bytes; more than all count as all. What it returns ends the turn, and is to be
// called once.
func (t *turns) take(ctx context.Context, key string, bytes int) (end func(), err error) {
	w := &turn{bytes: min(bytes, t.mostBytes), granted: make(chan struct{})}
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		k = &turnKey{}
		t.keys[key] = k
	}
	if k.waiting = append(k.waiting, w); len(k.waiting) == 1 {
		t.order = append(t.order, key)
	}
	t.grantLocked()
	t.mu.Unlock()
	end = func() { t.end(key, w) }
	select {
	case <-w.granted:
		return end, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	at := slices.Index(k.waiting, w)
	if at >= 0 {
		k.waiting = slices.Delete(k.waiting, at, at+1)
		t.tidyLocked(key, k)
		t.grantLocked() // whoever comes next may need less
	}
	t.mu.Unlock()
	if at < 0 {
		return end, nil // it was granted just then
	}
	return nil, fmt.Errorf("%w: too much is being read already: %w", ErrBusy, ctx.Err())
}

func (t *turns) end(key string, w *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.keys[key]
	t.running, t.bytes, k.running = t.running-1, t.bytes-w.bytes, k.running-1
	t.tidyLocked(key, k)
	t.grantLocked()
}

// grantLocked lets begin who may, one of each key in turn. A key that has all it may have is passed over. Nobody else is: who
// needs many bytes would wait for ever behind those who need few.
func (t *turns) grantLocked() {
	for at := 0; at < len(t.order) && t.running < t.most; {
		key := t.order[at]
		k := t.keys[key]
		if t.mostOfKey > 0 && k.running >= t.mostOfKey {
			at++
			continue
		}
		w := k.waiting[0]
		if t.bytes+w.bytes > t.mostBytes {
			return
		}
		t.running, t.bytes, k.running = t.running+1, t.bytes+w.bytes, k.running+1
		k.waiting = k.waiting[1:]
		t.order = slices.Delete(t.order, at, at+1)
		if len(k.waiting) > 0 {
			t.order = append(t.order, key)
		}
		close(w.granted)
	}
}

// tidyLocked forgets a key that has nothing left.
func (t *turns) tidyLocked(key string, k *turnKey) {
	if len(k.waiting) > 0 {
		return
	}
	if at := slices.Index(t.order, key); at >= 0 {
		t.order = slices.Delete(t.order, at, at+1)
	}
	if k.running == 0 {
		delete(t.keys, key)
	}
}
