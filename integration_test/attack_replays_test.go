package integration_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
	"sse-gateway/internal/testkit"
)

// A watch records what an attack costs everybody else: how long events take from a publisher to a subscriber, whether
// the replica stays ready, and its memory.
type watch struct {
	gateway *lab.Gateway
	delays  *delays
	stop    context.CancelFunc
	running sync.WaitGroup

	mu            sync.Mutex
	sent, unready int
	before, peak  int64
}

// watchOver begins to publish, to listen and to probe.
func watchOver(t *testing.T, gateway *lab.Gateway) *watch {
	t.Helper()
	w := &watch{gateway: gateway, delays: &delays{}, before: gateway.Memory(t)}
	lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{gateway.URL}, Topics: []string{"steady"}, OnEvent: w.delays.take}).WaitReady(t)
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	t.Cleanup(stop)
	every := func(pause time.Duration, do func()) {
		w.running.Go(func() {
			for tick := time.NewTicker(pause); ; {
				select {
				case <-tick.C:
					do()
				case <-ctx.Done():
					tick.Stop()
					return
				}
			}
		})
	}
	every(5*time.Millisecond, w.publish)
	every(50*time.Millisecond, func() {
		status := gateway.Status("/readyz")
		w.mu.Lock()
		defer w.mu.Unlock()
		if status != http.StatusOK {
			w.unready++
		}
	})
	every(20*time.Millisecond, func() {
		memory := gateway.Memory(t)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.peak = max(w.peak, memory)
	})
	return w
}

func (w *watch) publish() {
	body := fmt.Sprintf(`{"topic":"steady","data":%d}`, time.Now().UnixNano())
	resp, err := http.Post(w.gateway.URL+"/publish", "application/json", strings.NewReader(body)) //nolint:noctx // the server bounds it
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		w.mu.Lock()
		w.sent++
		w.mu.Unlock()
	}
}

// A toll is what an attack was seen to cost.
type toll struct {
	p99, worst time.Duration
	unready    int   // probes of /readyz that failed
	grown      int64 // bytes of memory, at the peak
}

// end waits until every event is there, and tells what was seen.
func (w *watch) end(t *testing.T) toll {
	t.Helper()
	w.stop()
	w.running.Wait()
	lab.Eventually(t, 2*wait, func() error {
		if got := w.delays.count(); got < w.sent {
			return fmt.Errorf("the bystander has got %d of %d events", got, w.sent)
		}
		return nil
	})
	w.delays.mu.Lock()
	defer w.delays.mu.Unlock()
	all := slices.Sorted(slices.Values(w.delays.all))
	if len(all) == 0 {
		t.Fatalf("nothing could be published; not ready %d times; memory %d → %d MiB", w.unready, w.before>>20, w.peak>>20)
	}
	seen := toll{p99: all[len(all)*99/100], worst: all[len(all)-1], unready: w.unready, grown: w.peak - w.before}
	t.Logf("%d events took %v in the median, %v at p99, %v at worst; not ready %d times; memory %d → %d MiB",
		len(all), all[len(all)/2], seen.p99, seen.worst, seen.unready, w.before>>20, w.peak>>20)
	return seen
}

// fill publishes n events of a size to a topic.
func fill(t *testing.T, gateway *lab.Gateway, topic string, n, size int) {
	t.Helper()
	event := fmt.Sprintf(`{"topic":%q,"data":"%s"}`, topic, strings.Repeat("x", size))
	for n > 0 {
		batch := min(n, 100)
		if got := ask(t, gateway, request{method: "POST", target: "/publish", body: list(batch, event)}); got.status != http.StatusOK {
			t.Fatalf("publish: %d %s", got.status, got.body)
		}
		n -= batch
	}
}

// glance asks for something, reads a little of the answer, and hangs up. It reports whether there was an answer of status 200.
func glance(gateway *lab.Gateway, target string) bool {
	conn, err := testkit.Dial(gateway.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(wait))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: gateway\r\n\r\n", target)
	segment := make([]byte, 1460)
	n, _ := conn.Read(segment)
	return strings.HasPrefix(string(segment[:n]), "HTTP/1.1 200 ")
}

// Who asks for all of a long history again and again, and hangs up, moves nobody.
func TestAttack_ReplaysThatNobodyReads(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		gateway := lab.StartGateway(t, gateways.PlainBinary(t), engine, "GATEWAY_HOSTS=gateway", lab.StartRedis(t).Env())
		gateway.WaitReady(t)
		fill(t, gateway, "long", 1000, 4<<10)
		w := watchOver(t, gateway)
		var attackers sync.WaitGroup
		var answered atomic.Int32
		for range 100 {
			attackers.Go(func() {
				for range 30 {
					if glance(gateway, "/subscribe?topics=long&since=all") {
						answered.Add(1)
					}
				}
			})
		}
		attackers.Wait()
		if n := answered.Load(); n < 2900 {
			t.Errorf("%d of 3000 were answered: this is no attack", n)
		}
		checkToll(t, w.end(t))
	})
}

// Streams that ask for everything and read nothing hold no more than their queues.
func TestAttack_ReplaysThatStandStill(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		gateway := lab.StartGateway(t, gateways.PlainBinary(t), engine, "GATEWAY_HOSTS=gateway", lab.StartRedis(t).Env())
		gateway.WaitReady(t)
		fill(t, gateway, "large", 700, 63<<10)
		w := watchOver(t, gateway)
		for range 40 {
			conn, err := testkit.Dial(gateway.Addr())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			fmt.Fprint(conn, "GET /subscribe?topics=large&since=all HTTP/1.1\r\nHost: gateway\r\n\r\n")
		}
		lab.Eventually(t, wait, func() error {
			if open := gateway.Metric(t, "gateway_streams_open"); open != 41 {
				return fmt.Errorf("%v streams are open", open)
			}
			return nil
		})
		lab.Eventually(t, 4*wait, func() error { // meanwhile they take in what they may
			if got := w.delays.count(); got < 200 {
				return fmt.Errorf("the bystander has got %d events", got)
			}
			return nil
		})
		checkToll(t, w.end(t))
	})
}

// Pages of large events are no larger than others.
func TestAttack_PagesOfLargeEvents(t *testing.T) {
	gateway := lab.StartGateway(t, gateways.PlainBinary(t), "GATEWAY_HOSTS=gateway", "GATEWAY_REDIS_TIMEOUT=10s", lab.StartRedis(t).Env())
	gateway.WaitReady(t)
	fill(t, gateway, "large", 700, 63<<10) // 44 MB, for which a busy machine takes its time
	w := watchOver(t, gateway)
	var attackers sync.WaitGroup
	var answered atomic.Int32
	for range 8 {
		attackers.Go(func() {
			for range 4 {
				resp, err := http.Get(gateway.URL + "/topics/large/events?limit=1000") //nolint:noctx // the server bounds it
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					answered.Add(1)
				}
			}
		})
	}
	attackers.Wait()
	if n := answered.Load(); n != 32 {
		t.Errorf("%d of 32 pages were answered", n)
	}
	checkToll(t, w.end(t))
}

// checkToll holds what was seen against what an attack may cost.
func checkToll(t *testing.T, seen toll) {
	t.Helper()
	if seen.unready > 0 {
		t.Errorf("the replica was not ready %d times", seen.unready)
	}
	if seen.p99 > time.Second {
		t.Errorf("1 of 100 events took %v or longer", seen.p99)
	}
	if seen.grown > 64<<20 {
		t.Errorf("the memory grew by %d MiB", seen.grown>>20)
	}
}
