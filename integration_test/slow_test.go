package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// 200 of 1,000 subscribers stop reading while events come. They are cut off once their queues are full, the others do not
// notice, and the memory stays within the queues' bound.
func TestSlow_StalledSubscribersAreCutAndDisturbNobody(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		const reading, stalling = 800, 200
		const queue = 256 << 10
		gateway := lab.StartGateway(t, gateways.PlainBinary(t), engine, lab.StartRedis(t).Env())
		gateway.WaitReady(t)
		delays := &delays{}
		var readers, stalled []*lab.Subscriber
		for range reading {
			readers = append(readers, lab.Subscribe(t, lab.SubscribeOptions{
				Bases: []string{gateway.URL}, Topics: []string{"steady"}, Once: true, OnEvent: delays.take,
			}))
		}
		for range stalling {
			stalled = append(stalled, lab.Subscribe(t, lab.SubscribeOptions{
				Bases: []string{gateway.URL}, Topics: []string{"steady", "flood"}, Once: true, ReceiveBuffer: 4 << 10,
				OnEvent: func(lab.Event) {},
			}))
		}
		for _, subscriber := range slices.Concat(readers, stalled) {
			subscriber.WaitReady(t)
		}
		for _, subscriber := range stalled {
			subscriber.Pause()
		}
		before := gateway.Memory(t)
		peak := before
		flood := strings.Repeat("x", 48<<10)
		steady := 0
		// What a stalled connection holds is the kernel's and the queue's: the flood goes on until all are full.
		lab.Eventually(t, 60*time.Second, func() error {
			lab.Publish(t, gateway.URL, "steady", time.Now().UnixNano())
			steady++
			for range 4 {
				lab.Publish(t, gateway.URL, "flood", flood)
			}
			peak = max(peak, gateway.Memory(t))
			cut := gateway.Metric(t, "gateway_streams_closed_total", `reason="slow"`)
			if open := gateway.Metric(t, "gateway_streams_open"); open != reading || cut != stalling {
				return fmt.Errorf("%v streams are open, %v were cut as slow", open, cut)
			}
			return nil
		})
		lab.Eventually(t, wait, func() error {
			if got := delays.count(); got != steady*reading {
				return fmt.Errorf("readers got %d of %d events", got, steady*reading)
			}
			return nil
		})
		worst, median := delays.worst()
		t.Logf("%d events to %d readers: delay %v median, %v worst; memory %d → %d MiB",
			steady, reading, median, worst, before>>20, peak>>20)
		if worst > 2*time.Second {
			t.Errorf("an event took %v to a subscriber that reads", worst)
		}
		if grown := peak - before; grown > stalling*queue+64<<20 {
			t.Errorf("the memory grew by %d MiB for %d stalled subscribers with queues of %d KiB", grown>>20, stalling, queue>>10)
		}
	})
}

// delays is how long events took whose data is the time of their publication.
type delays struct {
	mu  sync.Mutex
	all []time.Duration // guarded by mu
}

func (d *delays) take(event lab.Event) {
	if event.Type != "message" {
		return
	}
	var at int64
	if _, err := fmt.Sscanf(event.Data, `{"topic":"steady","data":%d}`, &at); err != nil {
		return
	}
	delay := time.Since(time.Unix(0, at))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, delay)
}

func (d *delays) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

func (d *delays) worst() (worst, median time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.all)
	return d.all[len(d.all)-1], d.all[len(d.all)/2]
}

// A subscriber that was cut gets everything when it comes back.
func TestSlow_ACutSubscriberComesBackToEverything(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		gateway := start(t, engine, lab.StartRedis(t).Env(), "GATEWAY_HISTORY_SIZE=5000")
		subscriber := lab.Subscribe(t, lab.SubscribeOptions{
			Bases: []string{gateway.URL}, Topics: []string{"t"}, ReceiveBuffer: 256 << 10, Retry: 50 * time.Millisecond,
		})
		subscriber.WaitReady(t)
		subscriber.Pause()
		text := strings.Repeat("x", 48<<10)
		var published []string
		lab.Eventually(t, 60*time.Second, func() error {
			for range 10 {
				published = append(published, lab.Publish(t, gateway.URL, "t", text))
			}
			if gateway.Metric(t, "gateway_streams_closed_total", `reason="slow"`) == 0 {
				return fmt.Errorf("%d events and not cut", len(published))
			}
			return nil
		})
		subscriber.Resume()
		got := ids(subscriber.WaitFired(t, len(published)))
		if !slices.Equal(got, published) {
			t.Errorf("got %d events that are not the %d published ones", len(got), len(published))
		}
		if connects := subscriber.State().Connects; connects < 2 {
			t.Errorf("%d connections: the subscriber was not cut", connects)
		}
	})
}

// Clients that go away are noticed at once and leave nothing behind.
func TestSlow_ClientsThatGoLeaveNothingBehind(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		redis := lab.StartRedis(t)
		gateway := start(t, engine, redis.Env())
		lab.Listen(t, gateway.URL, "warm", "up").Close()
		lab.Eventually(t, wait, func() error {
			if open := gateway.Metric(t, "gateway_streams_open"); open != 0 {
				return fmt.Errorf("%v open streams", open)
			}
			return nil
		})
		lab.CloseIdle()
		files, goroutines := gateway.Files(t), gateway.Metric(t, "go_goroutines")
		var subscribers []*lab.Subscriber
		for n := range 500 {
			subscribers = append(subscribers, lab.Subscribe(t, lab.SubscribeOptions{
				Bases: []string{gateway.URL}, Topics: []string{fmt.Sprintf("gone.%d", n%50)}, Once: true,
			}))
		}
		for _, subscriber := range subscribers {
			subscriber.WaitReady(t)
		}
		for n, subscriber := range subscribers {
			if n%2 == 0 {
				subscriber.Drop() // a reset
			} else {
				subscriber.Close() // an orderly end
			}
		}
		gone := time.Now()
		lab.Eventually(t, wait, func() error {
			if open := gateway.Metric(t, "gateway_streams_open"); open != 0 {
				return fmt.Errorf("%v streams are still open", open)
			}
			return nil
		})
		t.Logf("500 streams gone after %v", time.Since(gone))
		if took := time.Since(gone); took > 3*time.Second {
			t.Errorf("it took %v to notice that clients have gone", took)
		}
		lab.Eventually(t, wait, func() error {
			if now := gateway.Files(t); now > files+2 {
				return fmt.Errorf("%d open files, before %d", now, files)
			}
			if now := gateway.Metric(t, "go_goroutines"); now > goroutines+5 {
				return fmt.Errorf("%v goroutines, before %v", now, goroutines)
			}
			if channels := topicChannels(t, redis, "gone."); channels != 0 {
				return fmt.Errorf("%d channels are still subscribed", channels)
			}
			return nil
		})
	})
}
