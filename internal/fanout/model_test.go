package fanout

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
)

// The model runs hubs, over a broker that is a simple reference, one operation at a time: every call to the broker, every
// message on its way, every read by a client waits until the seed picks it. Among them the seed publishes, drops clients
// and breaks things. See model_oracle_test.go for what has to hold.
//
//	go test -v -run TestModel -model.seed 4711 ./internal/fanout  one run again, with its trace
//	go test -run TestModel -model.for 1h ./internal/fanout        a soak
//
// A run is nearly the same each time: where a select of Go has two choices at once it takes either, so a seed that failed may
// have to be run with -count 20.
var (
	modelSeed = flag.Uint64("model.seed", 0, "run the model with this seed only, and print its trace")
	modelRuns = flag.Int("model.runs", 600, "how many seeds the model runs with")
	modelFor  = flag.Duration("model.for", 0, "how long the model runs with ever new seeds, instead of model.runs")
)

func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		runModel(t, *modelSeed, true)
		return
	}
	first := uint64(1)
	if *modelFor > 0 {
		first = uint64(time.Now().Unix()) * 1e6
	}
	began := time.Now()
	var runs atomic.Int64
	t.Run("runs", func(t *testing.T) {
		const workers = 2
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for n := worker; !t.Failed() && (time.Since(began) < *modelFor || (*modelFor == 0 && n < *modelRuns)); n += workers {
					runModel(t, first+uint64(n), false)
					runs.Add(1)
				}
			})
		}
	})
	t.Logf("%d runs, %.0f a second", runs.Load(), float64(runs.Load())/time.Since(began).Seconds())
}

// runModel is one run.
func runModel(t *testing.T, seed uint64, verbose bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newModelWorld(seed)
		for range 150 + w.rng.IntN(250) {
			if w.failure != "" {
				break
			}
			w.step()
		}
		w.heal()
		w.end()
		if w.failure != "" || verbose {
			t.Logf("%s\n%s", w.setting, strings.Join(w.trace(), "\n"))
		}
		if w.failure != "" {
			t.Errorf("-model.seed %d: %s", seed, w.failure)
		}
	})
}

// A modelWorld is all of one run.
type modelWorld struct {
	rng     *rand.Rand
	opts    Options
	keep    broker.Retention
	timeout time.Duration
	setting string
	lossy   bool // the broker may lose data
	holed   bool // single messages may be lost on a connection that lives on
	slow    bool // hours pass

	gate     modelGate
	stores   []*modelStore
	hubs     []*Hub
	replicas int // that there have ever been
	topics   []string
	clients  []*modelClient
	sessions []*modelSession

	byNumber map[int]*modelEvent
	numbers  int
	dropped  []map[*modelEvent]bool // by hub: what its connections did not bring, without an error
	began    time.Time
	failure  string
	mu       sync.Mutex
	lines    []modelLine // guarded by mu: hubs log too
}

type modelLine struct {
	at     time.Duration
	format string
	args   []any
}

func newModelWorld(seed uint64) *modelWorld {
	w := &modelWorld{rng: rand.New(rand.NewPCG(seed, 1)), byNumber: make(map[int]*modelEvent), timeout: 2 * time.Second, began: time.Now()}
	pick := func(from ...int) int { return from[w.rng.IntN(len(from))] }
	w.keep = broker.Retention{Size: pick(0, 2, 4, 8, 50)}.WithDefaults()
	w.lossy, w.holed, w.slow = w.rng.IntN(3) == 0, w.rng.IntN(6) == 0, w.rng.IntN(8) == 0
	w.opts = Options{
		QueueEvents: pick(9, 10, 12), QueueBytes: pick(2, 400, 256<<10), Timeout: w.timeout, Canary: time.Second, Linger: time.Second,
		bounds: bounds{
			logEvents: pick(1, 3, 6), logBytes: pick(200, 1<<20), partitionLogs: pick(300, 1<<20),
			backlogEvents: pick(1, 3, 100), backlogBytes: pick(100, 1<<20), catchPage: pick(1, 2, 5), catchBytes: pick(1, 200, 1<<20),
			fillEvents: pick(1, 2, 5), fillBytes: pick(1, 200, 1<<20), fillBack: time.Duration(pick(0, 1, 1000)) * time.Millisecond, deepEvents: pick(1, 6), deepPage: pick(1, 2),
			reads: pick(1, 2), readBytes: 1 << 20, pages: 1, pagesOfOne: 1, pageBytes: 1 << 20,
		},
	}
	w.opts.spread = func(pause time.Duration) time.Duration { return pause / 3 }
	if w.slow {
		w.opts.Canary, w.timeout = 20*time.Minute, 30*time.Minute
		w.opts.Timeout = w.timeout
	}
	partitions, replicas := pick(1, 1, 1, 2, 4), pick(1, 2, 2, 3)
	for part := range partitions {
		w.stores = append(w.stores, &modelStore{w: w, part: part, data: newModelData()})
	}
	for i := range replicas {
		w.hubs = append(w.hubs, w.newHub(i))
		w.dropped = append(w.dropped, make(map[*modelEvent]bool))
	}
	for i := range pick(2, 3, 4) {
		w.topics = append(w.topics, string(rune('a'+i)))
	}
	for i := range 3 + w.rng.IntN(4) {
		w.clients = append(w.clients, w.newClient(i))
	}
	w.setting = fmt.Sprintf("seed %d: %d partitions, %d replicas, history %d, topics %v, lossy %t, holed %t, slow %t, queue %d, %+v",
		seed, partitions, replicas, w.keep.Size, w.topics, w.lossy, w.holed, w.slow, w.opts.QueueEvents, w.opts.bounds)
	return w
}

func (w *modelWorld) newHub(i int) *Hub {
	w.replicas++
	opts, name := w.opts, fmt.Sprintf("%c%d", 'A'+i, w.replicas)
	opts.Log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})).With("replica", name)
	return NewHub(&modelReplica{w: w, name: name}, opts)
}

func (w *modelWorld) newClient(i int) *modelClient {
	c := &modelClient{
		w: w, name: fmt.Sprint("client", i), topics: w.someTopics(), raw: w.rng.IntN(5) == 0,
		got: make(map[*modelEvent]bool),
	}
	switch w.rng.IntN(8) {
	case 0:
		c.since = "all"
	case 1:
		c.since = "1m"
	case 2:
		c.lastID = "rubbish"
	}
	return c
}

func (w *modelWorld) someTopics() []string {
	var topics []string
	for _, at := range w.rng.Perm(len(w.topics))[:1+w.rng.IntN(len(w.topics))] {
		topics = append(topics, w.topics[at])
	}
	return topics
}

func (w *modelWorld) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, modelLine{time.Since(w.began), format, args})
}

func (w *modelWorld) trace() []string {
	lines := make([]string, len(w.lines))
	for i, l := range w.lines {
		lines[i] = fmt.Sprintf("%12s  ", l.at) + fmt.Sprintf(l.format, l.args...)
	}
	return lines
}

// Write takes a line of a hub's log.
func (w *modelWorld) Write(line []byte) (int, error) {
	w.log("%s", strings.TrimSpace(string(line)))
	return len(line), nil
}

// fail notes the first thing that went wrong.
func (w *modelWorld) fail(format string, args ...any) {
	w.log("FAILED: "+format, args...)
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

// end stops everything; what is left over keeps the bubble from ending.
func (w *modelWorld) end() {
	for _, s := range w.sessions {
		s.drop()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, h := range w.hubs {
			_ = h.Close()
		}
	}()
	for {
		w.finishAll(context.Canceled)
		select {
		case <-done:
			w.finishAll(context.Canceled)
			return
		default:
		}
	}
}
