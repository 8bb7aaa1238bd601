package integration_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// post is a publish with a body.
func post(body string, lines ...string) request {
	return request{method: "POST", target: "/publish", body: body, header: lines}
}

// in is a publish with data.
func in(data string) request { return post(`{"topic":"t","data":` + data + `}`) }

// list is a JSON array of n times an item.
func list(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

const bad, large = http.StatusBadRequest, http.StatusRequestEntityTooLarge

func malformedBodies() []attack {
	return []attack{
		{"a million brackets", post(strings.Repeat("[", 1e6)), bad, "body"},
		{"a million brackets that close", post(strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6)), bad, "body"},
		{"a million objects in each other", post(strings.Repeat(`{"a":`, 1e6)), bad, "body"},
		{"data of a million brackets", in(strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6)), bad, "body"},
		{"data nested deeper than allowed", in(strings.Repeat("[", 513) + strings.Repeat("]", 513)), bad, "data: nested"},
		{"brackets in the topic's place", post(`{"topic":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `,"data":1}`), bad, "topic"},
		{"a number of a megabyte", in(strings.Repeat("9", 1<<20)), large, "data"},
		{"a huge retry", post(`{"topic":"t","data":1,"retry":1e999}`), bad, "retry"},
		{"a retry beyond 64 bits", post(`{"topic":"t","data":1,"retry":99999999999999999999}`), bad, "retry"},
		{"a negative retry", post(`{"topic":"t","data":1,"retry":-1}`), bad, "retry"},
		{"topic twice", post(`{"topic":"t","topic":"u","data":1}`), bad, "given twice"},
		{"data twice", post(`{"topic":"t","data":1,"data":2}`), bad, "given twice"},
		{"data twice, once escaped", post(`{"topic":"t","data":1,"\u0064ata":2}`), bad, "given twice"},
		{"a field in capitals", post(`{"Topic":"t","data":1}`), bad, "unknown field"},
		{"an unknown field", post(`{"topic":"t","data":1,"__proto__":{"admin":true}}`), bad, "unknown field"},
		{"a field of a megabyte", post(`{"` + strings.Repeat("f", 1<<20) + `":1}`), bad, "unknown field"},
		{"who it is from", post(`{"topic":"t","data":1,"from":"root"}`), bad, "unknown field"},
		{"an id", post(`{"topic":"t","data":1,"id":"9-9"}`), bad, "unknown field"},
		{"not UTF-8 in data", in("\"caf\xe9\""), bad, "UTF-8"},
		{"not UTF-8 between tokens", post("{\"topic\":\"t\",\xff\"data\":1}"), bad, "UTF-8"},
		{"two byte order marks", post("\ufeff\ufeff{\"topic\":\"t\",\"data\":1}"), bad, "body"},
		{"a byte order mark within", post("{\"topic\":\"t\",\ufeff\"data\":1}"), bad, "body"},
		{"UTF-16", post("\xff\xfe{\x00\"\x00"), bad, "UTF-8"},
		{"a control character in a string", in("\"a\x01b\""), bad, "body"},
		{"half a surrogate pair as topic", post(`{"topic":"\ud800","data":1}`), bad, "surrogate"},
		{"NaN", in("NaN"), bad, "body"},
		{"a comment", in("1/*x*/"), bad, "body"},
		{"two values", post(`{"topic":"t","data":1}{"topic":"t","data":2}`), bad, "body"},
		{"a form", post("topic=t&data=1"), bad, "body"},
		{"XML with an entity", post(`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`, "Content-Type: application/xml"), bad, "body"},
	}
}

func largeBodies() []attack {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	_, _ = packer.Write(bytes.Repeat([]byte{' '}, 64<<20)) // a buffer takes everything
	_ = packer.Close()
	return []attack{
		{"gzip of 64 MB", post(bomb.String(), "Content-Encoding: gzip"), http.StatusUnsupportedMediaType, "Content-Encoding"},
		{"gzip that is none", post(`{"topic":"t","data":1`, "Content-Encoding: gzip"), http.StatusUnsupportedMediaType, "Content-Encoding"},
		{"data of 64 KiB and a byte", in(`"` + strings.Repeat("x", 64<<10-1) + `"`), large, "data"},
		{"9 MB", post(strings.Repeat(" ", 9<<20)), large, "body"},
		{"9 MB announced", post("", "Content-Length: 9437184"), large, "body"},
		{"a terabyte announced", post("", "Content-Length: 1099511627776"), large, "body"},
		{"a length beyond 64 bits", post("", "Content-Length: 99999999999999999999"), bad, byServer},
		{"a negative length", post("", "Content-Length: -1"), bad, byServer},
		{"a million nulls", post(list(1_000_000, "null")), bad, "item 0"},
		{"20,000 events", post(list(20_000, `{"topic":"t","data":1}`)), large, "more than 10000"},
		{"20,000 topics of one event", post(`{"topics":[` + numbered(20_000) + `],"data":1}`), large, "more than 10000"},
	}
}

func queries() []attack {
	topics := strings.NewReplacer(`"`, "", ",", "%7C").Replace(numbered(10_000))
	return []attack{
		{"100,000 topics at once", request{target: "/subscribe?topics=" + strings.Repeat("t|", 100_000) + "t"}, http.StatusRequestHeaderFieldsTooLarge, byServer},
		{"10,000 topics at once", request{target: "/subscribe?topics=" + topics}, bad, "more than the 100"},
		{"30,000 parameters", request{target: "/subscribe?" + strings.Repeat("a&", 30_000)}, bad, "query"},
		{"a limit beyond 64 bits", request{target: "/topics/t/events?limit=99999999999999999999"}, bad, "limit"},
		{"a negative limit", request{target: "/topics/t/events?limit=-1"}, bad, "limit"},
		{"malformed encoding in the query", request{target: "/subscribe?topics=%zz"}, bad, "query"},
		{"semicolons in the query", request{target: "/subscribe?topics=a;user=jill"}, bad, "query"},
		{"a Go duration of an age", request{target: "/subscribe?topics=t&since=99999999999h"}, bad, "since"},
		{"a negative duration", request{target: "/subscribe?topics=t&since=-10m"}, bad, "since"},
	}
}

func TestAttack_Bodies(t *testing.T) {
	s := attackable(t, 1, nil)
	s.repels(t, slices.Concat(malformedBodies(), largeBodies(), queries()))
	if got := ask(t, s.Replicas[0], request{target: "/topics/t/events"}); strings.Contains(got.body, `"id"`) {
		t.Errorf("something was published: %.500s", got.body)
	}
	if used := s.Replicas[0].Memory(t); used > 1<<30 {
		t.Errorf("the gateway takes %d MB", used>>20)
	}
}

func numbered(n int) string {
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, `"t%d",`, i)
	}
	return strings.TrimSuffix(list.String(), ",")
}

// A line that is wrong, however large, has its own answer, and the next one is taken.
func TestAttack_Lines(t *testing.T) {
	s := attackable(t, 1, nil)
	began := time.Now()
	got := ask(t, s.Replicas[0], request{
		method: "POST", target: "/publish", header: []string{"Content-Type: application/x-ndjson"},
		body: strings.Join([]string{
			`{"topic":"t","data":1}`,
			`{"topic":"t","data":"` + strings.Repeat("x", 9<<20) + `"}`,
			`{"topic":"t","data":"` + strings.Repeat("x", 1<<20) + `"}`,
			strings.Repeat("[", 1e6),
			strings.Repeat("\r\n", 1e6) + strings.Repeat(" ", 1e6),
			"{\"topic\":\"t\",\"data\":\"caf\xe9\"}",
			`[{"topic":"t","data":1}]`,
			`{"topic":"@jill","data":1}`,
			`{"topic":"t","event":"a\nb","data":1}`,
			"\x00",
			`{"topic":"t","data":2}`,
		}, "\n") + "\n" + `{"topic":"t","data":`,
	})
	var statuses []string
	for line := range strings.Lines(got.body) {
		var result struct{ Status int }
		if err := json.Unmarshal([]byte(line), &result); err != nil {
			t.Fatalf("%v in the line %q", err, line)
		}
		if result.Status == 0 {
			statuses = append(statuses, "published")
		} else {
			statuses = append(statuses, strconv.Itoa(result.Status))
		}
	}
	const want = "[published 413 413 400 400 400 400 400 400 published 400]"
	if fmt.Sprint(statuses) != want {
		t.Errorf("got %v, want %s\n%.2000s", statuses, want, got.body)
	}
	if took := time.Since(began); took > wait {
		t.Errorf("it took %v", took)
	}
	s.unharmed(t)
}
