package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

const stoppedAnswer = `{"type":"urn:sse-gateway:problem:stopped","title":"Stopped","status":409`

func TestStop_ReachesAnOpenRequestOfLines(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			if protocol == "HTTP/2" {
				g.h2()
			}
			s := g.publishLines()
			s.send("{\"topic\":\"ru\\\"n\",\"data\":1}\n{\"topic\":\"other\",\"data\":1}\n{\"user\":\"jack\",\"data\":1}\n")
			for range 3 {
				s.expect(`{"id":"`)
			}
			for range 2 { // the second one is told of already
				if got := g.do(http.MethodPost, "/topics/ru%22n/stop", ""); got.status != http.StatusNoContent || got.body != "" {
					t.Fatalf("stop: %d %s", got.status, got.body)
				}
			}
			s.expect(`{"stop":"ru\"n"}`)
			s.send("{\"topic\":\"ru\\\"n\",\"data\":2}\n{\"topic\":\"other\",\"data\":2}\n")
			s.expect(stoppedAnswer)
			s.expect(`{"id":"`)
			if got := g.do(http.MethodPost, "/topics/ru%22n/close", `{"data":"[DONE]"}`); got.status != http.StatusOK {
				t.Errorf("close: %d %s", got.status, got.body)
			}
			s.send("{\"topic\":\"ru\\\"n\",\"data\":3}\n")
			s.expect(`{"type":"urn:sse-gateway:problem:topic-closed"`)
			_ = s.feed.Close()
			s.expectEnd()
			if got := g.do(http.MethodPost, "/topics/ru%22n/stop", ""); got.status != http.StatusNoContent {
				t.Errorf("stopping what has ended: %d %s", got.status, got.body)
			}
		})
	}
}

// A stop that nobody could be told of is found by the next publish, whatever its form.
func TestStop_IsFoundByTheNextPublish(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	if got := g.do(http.MethodPost, "/topics/run/stop", ""); got.status != http.StatusNoContent {
		t.Fatalf("stop: %d %s", got.status, got.body)
	}
	if p := g.do(http.MethodPost, "/publish", `{"topic":"run","data":1}`).problem(t); p.Status != http.StatusConflict || !strings.HasSuffix(p.Type, ":stopped") {
		t.Errorf("one event: %+v", p)
	}
	if got := g.do(http.MethodPost, "/publish", `{"topics":["run","other"],"data":1}`); !strings.HasPrefix(got.body, `{"results":[`+stoppedAnswer) {
		t.Errorf("a broadcast: %s", got.body)
	}
	s := g.publishLines()
	s.send("{\"topic\":\"run\",\"data\":1}\n")
	s.expect(stoppedAnswer)
	s.expect(`{"stop":"run"}`)
	s.send("{\"topic\":\"run\",\"data\":1}\n")
	s.expect(stoppedAnswer)
	_ = s.feed.Close()
	s.expectEnd()

	got := g.do(http.MethodPost, "/publish?answers=errors", "{\"topic\":\"run\",\"data\":1}\n{\"topic\":\"other\",\"data\":1}\n", "Content-Type", "application/x-ndjson")
	if !strings.Contains(got.body, `{"line":1,"type":"urn:sse-gateway:problem:stopped"`) || strings.Count(got.body, `{"stop":"run"}`) != 1 || !strings.Contains(got.body, `{"lines":2,"failed":1}`) {
		t.Errorf("errors only: %s", got.body)
	}
}

func TestStop_NeedsTheRightToPublish(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{Topics: []string{"run.*"}})
	jack := bearer(t, auth.Grant{Subject: "jack", Subscribe: []string{"*"}, Publish: []string{"run.jack"}})
	lines := g.publishLines(jack...)
	lines.send("{\"topic\":\"run.jane\",\"data\":1}\n")
	lines.expect(`{"type":"urn:sse-gateway:problem:forbidden"`)
	for path, want := range map[string]int{
		"/topics/run.jane/stop": 403, "/topics/other/stop": 404, "/topics/@jack/stop": 400, "/topics/run.jack/stop": 204,
	} {
		if got := g.do(http.MethodPost, path, "", jack...); got.status != want {
			t.Errorf("%s: got %d %s, want %d", path, got.status, got.body, want)
		}
	}
	if got := g.do(http.MethodPost, "/topics/run.jack/stop", ""); got.status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got.status)
	}
	jane := bearer(t, auth.Grant{Subject: "jane", Publish: []string{"run.jane"}})
	if got := g.do(http.MethodPost, "/topics/run.jane/stop", "", jane...); got.status != http.StatusNoContent {
		t.Errorf("jane: %d %s", got.status, got.body)
	}
	_ = lines.feed.Close() // jack is not told of jane's
	lines.expectEnd()
}

// A request may publish into any number of topics: it is told at once of stops of the latest.
func TestStop_TopicsOfOneRequestAreBounded(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	s := g.publishLines("Accept", "*/*")
	const topics = maxProduced + 10
	go func() {
		for i := range topics {
			_, _ = fmt.Fprintf(s.feed, "{\"topic\":\"t%d\",\"data\":1}\n", i)
		}
	}()
	for range topics {
		s.expect(`{"id":"`)
	}
	for _, topic := range []string{"t0", fmt.Sprint("t", topics-1)} {
		if got := g.do(http.MethodPost, "/topics/"+topic+"/stop", ""); got.status != http.StatusNoContent {
			t.Fatalf("stop: %d %s", got.status, got.body)
		}
	}
	s.expect(fmt.Sprintf(`{"stop":"t%d"}`, topics-1))
	s.send("{\"topic\":\"t0\",\"data\":1}\n")
	s.expect(stoppedAnswer)
	s.expect(`{"stop":"t0"}`)
	_ = s.feed.Close()
	s.expectEnd()
}
