//go:build compose

package compose

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

func TestStack_OnACluster(t *testing.T) {
	s := newStack(t, []string{"docker-compose.yml", "docker-compose.cluster.yml"})
	s.up()
	topics := make([]string, 12) // enough for all primaries to have some
	for i := range topics {
		topics[i] = fmt.Sprintf("topic-%d", i)
	}
	outlives(t, s, "node-1", topics)
}

func TestStack_BehindSentinel(t *testing.T) {
	s := newStack(t, []string{"docker-compose.yml", "docker-compose.sentinel.yml"})
	s.up()
	outlives(t, s, "node-1", []string{"topic"})
}

// outlives kills a primary: every topic is served again by the replica that takes its place, to those who were there
// before, and again by all nodes after the stack was stopped and started. Nothing comes twice.
func outlives(t *testing.T, s *stack, primary string, topics []string) {
	t.Helper()
	subscriber := lab.Listen(t, s.url, topics...)
	publishEventually(t, s, topics, "before")
	waitEach(t, subscriber, topics, "before")

	s.kill(s.containers(primary)[0])
	killed := time.Now()
	publishEventually(t, s, topics, "after the fail-over")
	t.Logf("all topics took events again after %v", time.Since(killed).Round(100*time.Millisecond))
	waitEach(t, subscriber, topics, "before", "after the fail-over")

	s.do("down", "--timeout", "5") // the data stays
	s.do("up", "--wait")
	publishEventually(t, s, topics, "after a restart")
	waitEach(t, subscriber, topics, "before", "after the fail-over", "after a restart")
}

// publishEventually publishes one event to each topic, with a key, again until it is taken.
func publishEventually(t *testing.T, s *stack, topics []string, data string) {
	t.Helper()
	for _, topic := range topics {
		body := fmt.Sprintf(`{"topic":%q,"data":%q,"key":%q}`, topic, data, data)
		lab.Eventually(t, patience, func() error {
			_, err := lab.TryPublish(t.Context(), s.url, []byte(body))
			return err
		})
	}
}

// waitEach waits until the data has come in each topic, in this order, and nothing twice.
func waitEach(t *testing.T, subscriber *lab.Subscriber, topics []string, data ...string) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		got := map[string][]string{}
		for _, event := range subscriber.State().Fired() {
			if event.Type == "message" {
				envelope := event.Envelope(t)
				got[envelope.Topic] = append(got[envelope.Topic], strings.Trim(string(envelope.Data), `"`))
			}
		}
		for _, topic := range topics {
			if len(got[topic]) > len(data) {
				t.Fatalf("%s has %q, want %q", topic, got[topic], data)
			}
			if !slices.Equal(got[topic], data) {
				return fmt.Errorf("%s has %q, want %q", topic, got[topic], data)
			}
		}
		return nil
	})
}

// A browser opens six connections to a host at most: over HTTP/1.1 the seventh stream would wait for ever.
func hasManyStreamsOverHTTPS(t *testing.T, s *stack) {
	secure := "https://" + lab.FreeAddr(t)
	s.env = append(slices.Clip(s.env), "LISTEN_HTTPS="+strings.TrimPrefix(secure, "https://"))
	s.do("--profile", "https", "up", "--build", "--wait", "--no-recreate")
	tab := lab.Chromium(t)
	tab.Open(t, secure+"/")
	const streams = 30
	lab.Eval[bool](t, tab, fmt.Sprintf(`
		window.heard = 0, window.ready = 0;
		for (let n = 0; n < %d; n++) {
			const source = new EventSource("/subscribe?topics=https");
			source.addEventListener("ready", () => ready++);
			source.onmessage = () => heard++;
		}
		true`, streams))
	tab.Until(t, patience, fmt.Sprintf(`ready === %d`, streams))
	lab.Publish(t, s.url, "https", "to all of them")
	tab.Until(t, patience, fmt.Sprintf(`heard === %d`, streams))
	if protocol := lab.Eval[string](t, tab, `performance.getEntriesByType("navigation")[0].nextHopProtocol`); protocol != "h2" {
		t.Errorf("the page came over %s, want h2", protocol)
	}
}

// keepsRedisToItself checks that Redis refuses what does not fit, asks for a password, and is out of the balancer's reach.
func keepsRedisToItself(t *testing.T, s *stack) {
	redis := s.containers("redis")[0]
	ask := func(args ...string) string {
		out, err := docker(s.env, append([]string{"exec", redis.ID, "redis-cli"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	if out, err := docker(s.env, "exec", "-e", "REDISCLI_AUTH=", redis.ID, "redis-cli", "ping"); err != nil || !strings.Contains(out, "NOAUTH") {
		t.Errorf("without a password Redis answers %q, %v; want NOAUTH", out, err)
	}
	if got := ask("config", "get", "maxmemory"); !strings.HasSuffix(got, "1073741824") {
		t.Errorf("%s, want 1 GiB", got)
	}
	if got := ask("config", "get", "maxmemory-policy"); !strings.HasSuffix(got, "noeviction") {
		t.Errorf("%s, want noeviction", got)
	}
	balancer := s.containers("balancer")[0]
	for name := range redis.NetworkSettings.Networks {
		if _, shared := balancer.NetworkSettings.Networks[name]; shared {
			t.Errorf("the balancer reaches Redis over %s", name)
		}
	}
}

// stopsWithinDockersPatience stops a container of the image as `docker stop` does, which kills after ten seconds.
func stopsWithinDockersPatience(t *testing.T, s *stack) {
	image := s.containers("gateway")[0].Config.Image
	id, err := docker(s.env, "run", "--detach", "--env", "GATEWAY_AUTH=none", image)
	if err != nil {
		t.Fatal(err)
	}
	id = strings.TrimSpace(id)
	t.Cleanup(func() {
		if _, err := docker(s.env, "rm", "--force", id); err != nil {
			t.Error(err)
		}
	})
	gateway := inspect(t, s.env, id)[0]
	lab.Eventually(t, patience, func() error {
		resp, err := http.Get(gateway.url() + "/readyz")
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return resp.Body.Close()
	})
	for range 20 {
		lab.Listen(t, gateway.url(), "robot")
	}
	if _, err := docker(s.env, "stop", id); err != nil {
		t.Fatal(err)
	}
	if code := inspect(t, s.env, id)[0].State.ExitCode; code != 0 {
		t.Errorf("exit code %d, want 0: 137 is killed", code)
	}
}
