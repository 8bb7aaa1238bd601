package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

// Names that must be refused wherever a name can be said.
func TestAttack_NamesThatAreNone(t *testing.T) {
	s := attackable(t, 2, nil, lab.StartRedis(t).Env())
	var attacks []attack
	for _, bad := range []struct{ what, name, says string }{
		{"NUL", "a\x00b", "control character U+0000"},
		{"CR", "a\rb", "control character U+000D"},
		{"LF", "a\nb", "control character U+000A"},
		{"tab", "a\tb", "control character"},
		{"escape", "\x1b[31mred", "control character"},
		{"DEL", "a\x7f", "control character"},
		{"C1 control", "a\u0085b", "control character"},
		{"right-to-left override", "a\u202egnp.exe", "text direction"},
		{"left-to-right embedding", "\u202aa", "text direction"},
		{"isolate", "a\u2068b\u2069", "text direction"},
		{"Latin-1", "caf\xe9", "UTF-8"},
		{"overlong NUL", "a\xc0\x80", "UTF-8"},
		{"half of a surrogate pair", "a\xed\xa0\x80", "UTF-8"},
		{"256 bytes", strings.Repeat("ä", 128), "255 bytes"},
	} {
		inQuery, inPath := url.QueryEscape(bad.name), url.PathEscape(bad.name)
		inJSON, _ := json.Marshal(bad.name) // not UTF-8 becomes U+FFFD, so that only the other attacks can show it
		add := func(where string, r request) {
			attacks = append(attacks, attack{bad.what + " " + where, r, http.StatusBadRequest, bad.says})
		}
		add("in topics", request{target: "/subscribe?topics=" + inQuery})
		add("in topic", request{target: "/subscribe?topic=" + inQuery})
		add("in user", request{target: "/subscribe?user=" + inQuery})
		add("in the path of a topic", request{target: "/topics/" + inPath})
		add("in the path of a history", request{target: "/topics/" + inPath + "/events"})
		add("in the path of a user", request{target: "/users/" + inPath})
		add("in the path of an inbox", request{target: "/users/" + inPath + "/events"})
		add("in a close", request{method: "POST", target: "/topics/" + inPath + "/close"})
		add("in a cut", request{method: "DELETE", target: "/users/" + inPath + "/streams"})
		if bad.says == "UTF-8" {
			inJSON = []byte(`"` + bad.name + `"`)
		}
		for _, field := range []string{`"topic":NAME`, `"user":NAME`, `"topics":["alive",NAME]`, `"users":[NAME]`} {
			body := "{" + strings.Replace(field, "NAME", string(inJSON), 1) + `,"data":1}`
			add("in "+strings.Split(field, ":")[0], request{method: "POST", target: "/publish", body: body})
		}
	}
	s.repels(t, attacks)
}

// Names that look like an attack on a path, a database or a page, and are but names: they mean nothing but themselves.
func TestAttack_NamesThatAreOnlyNames(t *testing.T) {
	redis := lab.StartRedis(t)
	s := attackable(t, 2, nil, redis.Env())
	for _, name := range []string{
		"..", ".", "../../etc/passwd", "/", "a/b", "a/../b", "/topics/x/events", "%2e%2e", "%2F", "%40jill", "a%00b",
		"{p0}", "*", "?", "[a-z]", "a\\b", "' OR 1=1 --", "x\\r\\nPUBLISH y z", "<script>alert(1)</script>", "javascript:alert(1)",
		"${jndi:ldap://127.0.0.1/x}", "{{7*7}}", "$(id)", "\u200fשלום", "\ufeffbom", "jill", "＠jill", " @jill", "CON", "a;b", "a&b=c", "a+b", "a b",
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"topic": name, "data": "to " + name})
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range []request{
				{method: "POST", target: "/publish", body: string(body)},
				{target: "/topics/" + url.PathEscape(name) + "/events"},
				{target: "/subscribe?since=all&topic=" + url.QueryEscape(name)},
				{target: "/topics/" + url.PathEscape(name)},
			} {
				got := ask(t, s.Replicas[i%2], r)
				if got.status != http.StatusOK {
					t.Fatalf("%s %s: %d %s", r.method, r.target, got.status, got.body)
				}
				if i == 1 {
					checkOnlyEvent(t, got.body, name)
				}
			}
		})
	}
	s.unharmed(t)
	if keys := redis.Keys(t, "*passwd*"); len(keys) == 0 {
		t.Error("the names have not come as far as the keys of Redis")
	}
}

// checkOnlyEvent looks for exactly one event of a topic in the answer of its history.
func checkOnlyEvent(t *testing.T, body, topic string) {
	t.Helper()
	var page struct {
		Events []struct{ Topic, Data string }
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Events) != 1 || page.Events[0].Topic != topic || page.Events[0].Data != "to "+topic {
		t.Errorf("the history of %q is %s", topic, body)
	}
}

func TestAttack_ReservedNamesAsTopics(t *testing.T) {
	s := attackable(t, 1, nil)
	var attacks []attack
	for _, name := range []string{"@jill", "@", "@@", "@*"} {
		for _, target := range []string{
			"/subscribe?topics=" + name, "/subscribe?topic=" + url.QueryEscape(name), "/subscribe?topics=alive%7C" + name,
			"/topics/" + name, "/topics/" + url.PathEscape(name), "/topics/%40" + name[1:] + "/events", "/topics/" + name + "/events",
		} {
			attacks = append(attacks, attack{target, request{target: target}, http.StatusBadRequest, "reserved"})
		}
		for _, r := range []request{
			{method: "POST", target: "/topics/" + name + "/close"},
			{method: "POST", target: "/publish", body: `{"topic":"` + name + `","data":1}`},
			{method: "POST", target: "/publish", body: `{"topics":["` + name + `"],"data":1}`},
			{method: "POST", target: "/publish", body: `[{"topic":"` + name + `","data":1}]`},
		} {
			attacks = append(attacks, attack{r.method + " " + r.target + " " + r.body, r, http.StatusBadRequest, "reserved"})
		}
	}
	s.repels(t, attacks)
}
