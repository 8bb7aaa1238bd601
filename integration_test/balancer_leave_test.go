package integration_test

import (
	"fmt"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// The gateway counts open streams, so a balancer has to pass on at once that a subscriber has left: a page that is
// loaded again would otherwise meet its own former stream at the limit.
func TestBalancer_AReloadedPageIsNotRefusedForItsFormerStream(t *testing.T) {
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		replicas := startReplicas(t, 1, "GATEWAY_MAX_STREAMS_PER_USER=1", "GATEWAY_RETRY=1s")
		balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
		const reloads = 20
		begun := time.Now()
		for n := range reloads {
			stream := lab.Subscribe(t, lab.SubscribeOptions{
				Bases: []string{balancer.URL}, User: "jack", Topics: []string{"robot"},
				Retry: 50 * time.Millisecond, // not the half a minute that a refused one is told
			})
			stream.WaitFor(t, wait, fmt.Sprintf("load %d", n), func(s lab.State) bool { return s.Readies == 1 })
			stream.Close()
		}
		lab.Eventually(t, wait, func() error { return noStreams(t, replicas[0]) })
		took := time.Since(begun)
		t.Logf("%d reloads took %v", reloads, took.Round(time.Millisecond))
		if took > reloads*time.Second {
			t.Errorf("%d reloads took %v, want at most a second each", reloads, took)
		}
	})
}

func noStreams(t *testing.T, gateway *lab.Gateway) error {
	t.Helper()
	if open := gateway.Metric(t, "gateway_streams_open"); open != 0 {
		return fmt.Errorf("%v streams are open", open)
	}
	return nil
}

func TestBalancer_ABrowserReloadsAtALimitOfOne(t *testing.T) {
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		replicas := startReplicas(t, 1, "GATEWAY_MAX_STREAMS_PER_USER=1")
		balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
		tab := lab.Chromium(t)
		for range 20 {
			tab.Open(t, balancer.URL+"/?user=jack&topics=robot")
			waitState(t, tab, "live", wait)
		}
	})
}
