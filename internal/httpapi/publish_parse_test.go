package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"sse-gateway/internal/address"
)

const maxEventTest = 64 << 10

func TestParseBody_KeepsDataAsWritten(t *testing.T) {
	for _, data := range []string{
		`null`, `true`, `0`, `-0`, `1e400`, `123456789012345678901234567890`, `0.10`, `1E+2`,
		`""`, `"a\u0000b"`, `"\ud83d\ude00"`, `"\ud83d"`, `"😀"`, `"\/"`, `"<script>&"`, "\"\u2028\"", `"\r\n"`,
		`[]`, `{}`, `{"a":1,"a":2}`, `[1,[2,{"b":[]}]]`, `{"}":"]"}`, `"\\"`, `"\\\""`, `{"topic":"inner","data":1}`,
	} {
		items, array, err := parseBody([]byte(`{"topic":"t","data":`+data+`}`), maxEventTest)
		if err != nil || array || len(items) != 1 {
			t.Errorf("%s: got %v, array %v, error %v", data, items, array, err)
			continue
		}
		if got := string(items[0].data); got != data {
			t.Errorf("data: got %s, want %s", got, data)
		}
	}
}

func TestParseBody_ReadsEveryField(t *testing.T) {
	items, array, err := parseBody([]byte(` [ { "users" : [ "a" , "b\u00e9" ] , "event" : "x" , "retry" : 5000 , "key" : "k" , "data" : [ 1 , 2 ] } ,
		{"t\u006fpic":"t|u","data":null}, {"user":"@jack","data":""} ] `), maxEventTest)
	if err != nil || !array {
		t.Fatalf("array %v, error %v", array, err)
	}
	want := []item{
		{targets: []address.Address{address.OfUser("a"), address.OfUser("bé")}, broadcast: true, eventType: "x", retry: 5000, key: "k", data: json.RawMessage(`[1,2]`)},
		{targets: []address.Address{address.OfTopic("t|u")}, data: json.RawMessage(`null`)},
		{targets: []address.Address{address.OfUser("@jack")}, data: json.RawMessage(`""`)},
	}
	if !reflect.DeepEqual(items, want) {
		t.Errorf("got %+v\nwant %+v", items, want)
	}
}

func TestParseBody_Refuses(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, test := range map[string]struct {
		body   string
		status int
		detail string // part of it
	}{
		"empty":                 {" \n", 400, "body: empty"},
		"not JSON":              {`{"topic":`, 400, "body: not JSON at byte 9"},
		"form":                  {`topic=t&data=1`, 400, "body: not JSON"},
		"trailing garbage":      {`{"topic":"t","data":1} x`, 400, "body: not JSON at byte 24"},
		"two objects":           {`{"topic":"t","data":1}{"topic":"t","data":1}`, 400, "body: not JSON"},
		"not UTF-8":             {"{\"topic\":\"t\",\"data\":\"\xff\"}", 400, "UTF-8"},
		"string":                {`"topic"`, 400, "body: must be an object or an array of objects, not string"},
		"empty array":           {`[]`, 400, "array is empty"},
		"array of numbers":      {`[1]`, 400, "item 0: must be an object, not number"},
		"array in array":        {`[[]]`, 400, "item 0: must be an object, not array"},
		"second item":           {`[{"topic":"t","data":1},{"topic":"t"}]`, 400, "item 1: data: missing"},
		"unknown field":         {`{"topic":"t","data":1,"id":"1"}`, 400, `"id": unknown field`},
		"field in other case":   {`{"Topic":"t","data":1}`, 400, `"Topic": unknown field`},
		"field twice":           {`{"topic":"t","data":1,"data":2}`, 400, `"data": given twice`},
		"no topic":              {`{"data":1}`, 400, "topic: missing"},
		"no data":               {`{"topic":"t"}`, 400, "data: missing"},
		"empty object":          {`{}`, 400, "topic: missing"},
		"topic and user":        {`{"topic":"t","user":"u","data":1}`, 400, "user: topic is given as well"},
		"topics and users":      {`{"topics":["t"],"users":["u"],"data":1}`, 400, "users: topics is given as well"},
		"topic empty":           {`{"topic":"","data":1}`, 400, "topic: must not be empty"},
		"topic null":            {`{"topic":null,"data":1}`, 400, "topic: must be a string, not null"},
		"topic number":          {`{"topic":1,"data":1}`, 400, "topic: must be a string, not number"},
		"topic long":            {`{"topic":"` + long + `","data":1}`, 400, "topic: longer than 255 bytes"},
		"topic with newline":    {`{"topic":"a\nb","data":1}`, 400, "topic: holds the control character U+000A"},
		"topic with NUL":        {`{"topic":"a\u0000b","data":1}`, 400, "topic: holds the control character U+0000"},
		"topic with C1":         {`{"topic":"a\u0085b","data":1}`, 400, "topic: holds the control character U+0085"},
		"topic with override":   {`{"topic":"a\u202eb","data":1}`, 400, "topic: holds the text direction character U+202E"},
		"topic half surrogate":  {`{"topic":"a\ud800","data":1}`, 400, "topic: holds half of a surrogate pair"},
		"topic reserved":        {`{"topic":"@jack","data":1}`, 400, `topic: a name that starts with "@"`},
		"user empty":            {`{"user":"","data":1}`, 400, "user: must not be empty"},
		"topics string":         {`{"topics":"t","data":1}`, 400, "topics: must be an array of strings, not string"},
		"topics empty":          {`{"topics":[],"data":1}`, 400, "topics: the array is empty"},
		"topics number":         {`{"topics":["a",1],"data":1}`, 400, "topics[1]: must be a string"},
		"topics reserved":       {`{"topics":["a","@b"],"data":1}`, 400, "topics[1]: a name that starts"},
		"topics twice":          {`{"topics":["a","b","a"],"data":1}`, 400, "topics[2]: named twice"},
		"users control":         {`{"users":["\u007f"],"data":1}`, 400, "users[0]: holds the control"},
		"event newline":         {`{"topic":"t","event":"a\nid: 1","data":1}`, 400, "event: holds a carriage return"},
		"event carriage return": {`{"topic":"t","event":"a\r","data":1}`, 400, "event: holds a carriage return"},
		"event NUL":             {`{"topic":"t","event":"\u0000","data":1}`, 400, "event: holds a carriage return"},
		"event long":            {`{"topic":"t","event":"` + long + `","data":1}`, 400, "event: longer than"},
		"event ready":           {`{"topic":"t","event":"ready","data":1}`, 400, `event: the type "ready" is reserved`},
		"event gap":             {`{"topic":"t","event":"gap","data":1}`, 400, "reserved"},
		"event close":           {`{"topic":"t","event":"close","data":1}`, 400, "reserved"},
		"event position":        {`{"topic":"t","event":"position","data":1}`, 400, "reserved"},
		"event open":            {`{"topic":"t","event":"open","data":1}`, 400, "reserved"},
		"event expiring":        {`{"topic":"t","event":"expiring","data":1}`, 400, "reserved"},
		"key newline":           {`{"topic":"t","key":"a\n","data":1}`, 400, "key: holds a carriage return"},
		"key number":            {`{"topic":"t","key":1,"data":1}`, 400, "key: must be a string"},
		"retry string":          {`{"topic":"t","retry":"5","data":1}`, 400, "retry: must be a whole number"},
		"retry zero":            {`{"topic":"t","retry":0,"data":1}`, 400, "retry: must be"},
		"retry fraction":        {`{"topic":"t","retry":1.5,"data":1}`, 400, "retry: must be"},
		"retry exponent":        {`{"topic":"t","retry":1e3,"data":1}`, 400, "retry: must be"},
		"retry huge":            {`{"topic":"t","retry":99999999999999999999,"data":1}`, 400, "retry: must be"},
		"data too large":        {`{"topic":"t","data":"` + strings.Repeat("x", maxEventTest-1) + `"}`, 413, "data: 65537 bytes"},
		"data deep":             {`{"topic":"t","data":` + strings.Repeat("[", 513) + strings.Repeat("]", 513) + `}`, 400, "data: nested deeper"},
		"data very deep":        {`{"topic":"t","data":` + strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6) + `}`, 400, "body: not JSON"},
		"too many targets":      {manyTargets(maxTargets + 1), 413, "topics: more than 10000 names"},
		"too many in sum":       {"[" + manyTargets(maxTargets) + `,{"topic":"t","data":1}]`, 413, "item 1: more than 10000 events"},
	} {
		t.Run(name, func(t *testing.T) {
			items, _, err := parseBody([]byte(test.body), maxEventTest)
			var got *problem
			if !errors.As(err, &got) {
				t.Fatalf("got %v, error %v", items, err)
			}
			if got.Status != test.status || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("got %d %q, want %d with %q", got.Status, got.Detail, test.status, test.detail)
			}
		})
	}
}

func manyTargets(n int) string {
	var b strings.Builder
	b.WriteString(`{"topics":["t0"`)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, `,"t%d"`, i)
	}
	return b.String() + `],"data":1}`
}

func TestParseBody_TakesWhatIsAtTheLimits(t *testing.T) {
	for name, body := range map[string]string{
		"data":    `{"topic":"t","data": "` + strings.Repeat("x", maxEventTest-2) + `" }`,
		"depth":   `{"topic":"t","data":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + `}`,
		"topic":   `{"topic":"` + strings.Repeat("x", 255) + `","data":1}`,
		"targets": manyTargets(maxTargets),
		"marks":   `{"topic":"a\u200fb","data":1}`,
		"pair":    `{"topic":"\ud83d\ude00","data":1}`,
	} {
		if _, _, err := parseBody([]byte(body), maxEventTest); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseBody compares the parser with encoding/json on whatever it accepts.
func FuzzParseBody(f *testing.F) {
	f.Add([]byte(`{"topic":"t","data":{"a":[1,"\ud83d\ude00",null]}}`))
	f.Add([]byte(`[{"user":"u","data":1,"event":"e","retry":1,"key":"k"},{"topics":["a","b"],"data":""}]`))
	f.Add([]byte(`{"topic":"a\\\"b","data":"\\"}`))
	f.Add([]byte("{\"topic\":\"\xff\",\"data\":1}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, array, err := parseBody(body, maxEventTest)
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.Status < http.StatusBadRequest || p.Detail == "" {
				t.Fatalf("%q: the error is no problem: %v", body, err)
			}
			return
		}
		var want []map[string]json.RawMessage
		if array {
			err = json.Unmarshal(body, &want)
		} else {
			want = make([]map[string]json.RawMessage, 1)
			err = json.Unmarshal(body, &want[0])
		}
		if err != nil || len(want) != len(items) {
			t.Fatalf("%q: got %d items, want %d (%v)", body, len(items), len(want), err)
		}
		for i, it := range items {
			checkItem(t, it, want[i])
		}
	})
}

func checkItem(t *testing.T, it item, want map[string]json.RawMessage) {
	t.Helper()
	var data bytes.Buffer
	if err := json.Compact(&data, want["data"]); err != nil || data.String() != string(it.data) {
		t.Errorf("data: got %s, want %s (%v)", it.data, data.Bytes(), err)
	}
	var event, key string
	_ = json.Unmarshal(want["event"], &event)
	_ = json.Unmarshal(want["key"], &key)
	if it.eventType != event || it.key != key {
		t.Errorf("event, key: got %q %q, want %q %q", it.eventType, it.key, event, key)
	}
	for _, to := range it.targets {
		if to.Name == "" || len(to.Name) > 255 || !utf8.ValidString(to.Name) || strings.ContainsAny(to.String(), "\r\n\x00") {
			t.Errorf("target %q", to.Name)
		}
	}
}

func BenchmarkParseItem(b *testing.B) {
	body := []byte(`{"topic":"chatgpt","data":{"text":"` + strings.Repeat("hello ", 16) + `","n":42}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := parseBody(body, maxEventTest); err != nil {
			b.Fatal(err)
		}
	}
}
