package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

// What can only be a parameter of ours is refused with the right name: a position that is overlooked would lose events.
func TestQuery_RefusesNearMisses(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for path, tests := range map[string]map[string]string{
		"/subscribe?topics=a&": {
			"lastid=5": "last_event_id", "cursor=5": "last_event_id", "offset=5": "last_event_id", "position=5": "last_event_id",
			"after=5": "last_event_id", "since_id=5": "last_event_id", "event_id=5": "last_event_id", "from_id=5": "last_event_id",
			"lastEventIds=5": "last_event_id", "last_evnt_id=5": "last_event_id", "last_event_di=5": "last_event_id",
			"id=1763870000123-0": "last_event_id", "from=1763870000123-0": "last_event_id",
			"Since=all": "since", "SINCE=all": "since", "simce=all": "since", "sincee=all": "since", "snce=all": "since", "since[]=all": "since",
			"topcis=a": "topics", "Topics=a": "topics", "topisc=a": "topics", "tpoics=a": "topics", "topics[]=a": "topics", "tropic=a": "topic",
			"Topic=a": "topic", "users=a": "user", "User=a": "user", "usr=a": "user", "Raw=1": "raw", "RAW=1": "raw",
			"accessToken=x": "access_token", "acess_token=x": "access_token",
		},
		"/topics/a/events?": {
			"since=all": "after", "last_event_id=1-1": "after", "lastEventId=1-1": "after", "cursor=1-1": "after", "offset=1": "after",
			"After=1-1": "after", "afer=1-1": "after", "Limit=5": "limit", "limt=5": "limit", "limits=5": "limit", "next=1763870000123-0": "after",
		},
		"/users/a/events?": {"since=all": "after", "LIMIT=5": "limit"},
	} {
		for query, right := range tests {
			if head := g.do(http.MethodHead, path+query, ""); head.status == http.StatusOK { // a stream would not end
				t.Errorf("%s%s is taken, want a 400 that names %s", path, query, right)
				continue
			}
			p := g.do(http.MethodGet, path+query, "").problem(t)
			if p.Status != http.StatusBadRequest || !strings.HasSuffix(p.Detail, " "+right) {
				t.Errorf("%s%s: got %d %q, want a 400 that names %s", path, query, p.Status, p.Detail, right)
			}
		}
	}
}

// Libraries, caches and trackers add parameters of theirs, which are no affair of the gateway's.
func TestQuery_PassesOverTheParametersOfOthers(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for _, query := range []string{
		"datastar=%7B%22a%22%3A1%7D", "_=1763870000123", "v=3", "t=1", "ts=1763870000", "cb=abc", "x=", "nocache=1", "cachebust=1", "rand=0.5",
		"r=1", "z", "=5", "id=widget-7", "from=home", "start=1", "last=1", "event=click", "token=abc", "seq=3", "pos=top", "next=%2Fhome",
		"top=1", "size=2", "sync=1", "once=1", "nonce=x", "source=web", "row=1", "draw=2", "tab=1", "page=2", "lang=de", "locale=de", "theme=dark",
		"version=1", "build=7", "debug=1", "client=web", "session=x", "sid=x", "utm_source=mail", "fbclid=1", "gclid=1", "retry=3", "transport=sse",
		"stream=1", "format=json", "mode=live", "type=x", "name=x", "key=x", "room=7", "channel=7", "jwt=x", "auth=1", "apikey=1", "username=x", "user_id=7",
		"_vercel_no_cache=1", "timestamp=5", "time=5", "heartbeat=15", "withCredentials=true",
	} {
		if got := g.do(http.MethodHead, "/subscribe?topics=a&"+query, ""); got.status != http.StatusOK {
			t.Errorf("%s: got %d", query, got.status)
		}
		if got := g.do(http.MethodGet, "/topics/a/events?"+query, ""); got.status != http.StatusOK {
			t.Errorf("events, %s: got %d %s", query, got.status, got.body)
		}
	}
}

func TestQuery_RawIsOneOfFourWords(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	id := g.publish(`{"topic":"a","data":"hi"}`)
	for value, want := range map[string]string{
		"1": "hi", "true": "hi", "0": `{"topic":"a","data":"hi"}`, "false": `{"topic":"a","data":"hi"}`,
	} {
		s, _ := g.subscribe("topics=a&since=all&raw=" + value)
		if event := s.next(); event.Data != want || event.ID != id {
			t.Errorf("raw=%s: got %+v, want %s", value, event, want)
		}
	}
}

func TestHistory_BeginsAtTheBeginningInEverySpelling(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	id := g.publish(`{"topic":"a","data":1}`)
	for _, after := range []string{"", "0", "-1", "0-0"} {
		if got := g.do(http.MethodGet, "/topics/a/events?after="+after, ""); got.status != http.StatusOK || !strings.Contains(got.body, id) {
			t.Errorf("after=%s: %d %s", after, got.status, got.body)
		}
	}
}
