package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

// A position that many topics fill, a token with many rights and a long list of topics are what heads are long for.
func TestBalancer_LongHeadsPass(t *testing.T) {
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		replicas := startReplicas(t, 1)
		balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
		topics := make([]string, 90)
		for i := range topics {
			topics[i] = fmt.Sprintf("topic-%02d-%s", i, strings.Repeat("x", 200))
		}
		stream := lab.Subscribe(t, lab.SubscribeOptions{
			Bases: []string{balancer.URL}, Topics: topics,
			Header: http.Header{
				"Authorization": {"Bearer " + strings.Repeat("a", 16<<10)},
				"Cookie":        {"other=" + strings.Repeat("c", 8<<10)},
			},
		})
		stream.WaitReady(t)
		lab.Publish(t, balancer.URL, topics[89], "heard")
		stream.WaitFired(t, 1)
	})
}

func TestBalancer_LinesPassAsTheyCome(t *testing.T) {
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		replicas := startReplicas(t, 2, lab.StartRedis(t).Env())
		balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
		stream := lab.Listen(t, balancer.URL, "robot")
		lines := lab.OpenNDJSON(t, balancer.URL)
		for n := range 5 {
			// Each answer comes while the request is still being sent, and so does the event.
			if answer := lines.Send(t, fmt.Sprintf(`{"topic":"robot","data":%d}`, n)); !strings.Contains(answer, `"id"`) {
				t.Fatalf("line %d is answered %s", n, answer)
			}
			stream.WaitFired(t, n+1)
		}
	})
}

// A stream whose end is not clean is one that the client is to come back to: some clients stop for good after a clean one.
func TestBalancer_EndsPassAsTheyAre(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
	ends := []struct {
		name, answer string
		clean        bool
	}{
		{"clean", head + "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n", true},
		{"without the last chunk", head + "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n", false},
		{"within a chunk", head + "Transfer-Encoding: chunked\r\n\r\n20\r\ndata: 1\n\n", false},
		{"by closing, which is clean", head + "Connection: close\r\n\r\ndata: 1\n\n", true},
	}
	protocols := []struct {
		name string
		base func(*lab.Balancer) string
		set  func(*http.Protocols)
	}{
		{"HTTP/1.1", func(b *lab.Balancer) string { return b.URL }, func(p *http.Protocols) { p.SetHTTP1(true) }},
		{"HTTP/2", func(b *lab.Balancer) string { return b.SecureURL }, func(p *http.Protocols) { p.SetHTTP2(true) }},
	}
	cert, key := certificateFiles(t)
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		isHAProxy := strings.HasSuffix(t.Name(), "/HAProxy")
		for _, end := range ends {
			server := answerSubscribers(t, end.answer)
			balancer := start(t, lab.BalancerOptions{Servers: []string{server}, Cert: cert, Key: key})
			for _, protocol := range protocols {
				if isHAProxy && protocol.name == "HTTP/2" && !end.clean {
					continue // HAProxy 2.6 ends the stream of HTTP/2 cleanly whatever the server did: see deploy/haproxy.cfg
				}
				t.Run(protocol.name+" "+end.name, func(t *testing.T) {
					resp := getOver(t, transport(t, protocol.set), protocol.base(balancer)+"/subscribe?topics=a")
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if resp.Proto[:6] != protocol.name[:6] || string(body) != "data: 1\n\n" || (err == nil) != end.clean {
						t.Errorf("%s, %q, and then %v; want an error: %t", resp.Proto, body, err, !end.clean)
					}
				})
			}
		}
	})
}

func getOver(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// answerSubscribers is a server that is ready, and sends each subscriber the answer, as it is, before it closes.
func answerSubscribers(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", lab.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(conn))
			switch {
			case err != nil:
			case req.URL.Path == "/readyz":
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			default:
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// What the balancer says when it has no replica: to a subscriber that it is to come back, to a publisher that nothing
// was done.
func TestBalancer_AnswersForReplicasThatAreDown(t *testing.T) {
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		replicas := startReplicas(t, 2, lab.StartRedis(t).Env())
		balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
		for _, replica := range replicas {
			replica.Kill()
		}
		retries := map[string]bool{}
		for range 8 {
			retries[comeBack(t, balancer.URL)] = true
		}
		if len(retries) < 3 {
			t.Errorf("8 subscribers are told %d different times, want them spread: %v", len(retries), retries)
		}
		lab.Eventually(t, wait, func() error {
			_, err := lab.TryPublish(t.Context(), balancer.URL, []byte(`{"topic":"robot","data":1}`))
			return expectProblem(err)
		})
	})
}

// comeBack subscribes from a page of another origin, and returns what the stream says of coming back.
func comeBack(t *testing.T, base string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/subscribe?topics=robot", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://app.example")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	retry, _, ok := strings.Cut(string(body), "\n")
	if err != nil || resp.StatusCode != http.StatusOK || !ok || !strings.HasPrefix(retry, "retry: ") ||
		resp.Header.Get("Content-Type") != "text/event-stream" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		resp.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("status %d, %v, %q, %v; want a stream that sets retry", resp.StatusCode, resp.Header, body, err)
	}
	return retry
}

// Neither what runs inside, nor an address that a client invents, passes.
func TestBalancer_KeepsWhatIsInsideInside(t *testing.T) {
	overBothBalancers(t, func(t *testing.T, start lab.BalancerStarter) {
		replicas := startReplicas(t, 1, "GATEWAY_TRUSTED_PROXIES=loopback", "GATEWAY_LOG_LEVEL=debug")
		balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
		front := &lab.Gateway{URL: balancer.URL}
		for _, path := range []string{"/metrics", "//metrics", "/%6detrics", "/metrics/", "/debug/pprof/"} {
			if got := ask(t, front, request{target: path}); got.status != http.StatusNotFound || got.title != "Not Found" {
				t.Errorf("GET %s: status %d, want 404 as a problem: %.100s", path, got.status, got.body)
			}
		}
		stream := lab.Subscribe(t, lab.SubscribeOptions{
			Bases: []string{balancer.URL}, Topics: []string{"seen"},
			Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}, "Forwarded": {"for=203.0.113.7"}},
		})
		stream.WaitReady(t)
		if strings.Contains(string(replicas[0].Log()), "203.0.113.7") {
			t.Errorf("the gateway believes what the client said of its address:\n%s", replicas[0].Log())
		}
	})
}
