package sse_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sse-gateway/internal/sse"
)

func TestEnvelope_LeavesDataUnaltered(t *testing.T) {
	for _, data := range []string{
		`9007199254740993`, `1.0`, `1e2`, `-0`, `1E+400`, `0.1000`,
		`"\u0041\/"`, `"<b>&amp;</b>"`, "\"\u2028\u2029\"", `"\u2028"`, `"\u0000"`, `"\ud83d\ude42"`, `"🙂"`, `"\ud800"`,
		`null`, `true`, `{"b":1,"a":2,"b":3}`, `[]`, `{}`, `""`,
	} {
		got := string(sse.Envelope{Topic: "t", Data: json.RawMessage(data)}.Append(nil))
		if want := `{"topic":"t","data":` + data + `}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestEnvelope_Names(t *testing.T) {
	one := json.RawMessage("1")
	tests := []struct {
		name     string
		envelope sse.Envelope
		want     string
	}{
		{"topic", sse.Envelope{Topic: "robot", Data: one}, `{"topic":"robot","data":1}`},
		{"user in the place of topic", sse.Envelope{Topic: "@jack", User: "jack", Data: one}, `{"user":"jack","data":1}`},
		{"from", sse.Envelope{Topic: "t", Data: one, From: "anna"}, `{"topic":"t","data":1,"from":"anna"}`},
		{"HTML stays as it is", sse.Envelope{Topic: `<a href='x'>&`, Data: one}, `{"topic":"<a href='x'>&","data":1}`},
		{"quote and backslash", sse.Envelope{Topic: `a"b\c`, Data: one}, `{"topic":"a\"b\\c","data":1}`},
		{"other letters, emoji, U+2028", sse.Envelope{Topic: "群🙂\u2028\x7f", Data: one}, "{\"topic\":\"群🙂\u2028\x7f\",\"data\":1}"},
		{"control characters", sse.Envelope{Topic: "a\n\r\x00\x1f", Data: one}, `{"topic":"a\u000a\u000d\u0000\u001f","data":1}`},
		{"invalid UTF-8 is replaced", sse.Envelope{Topic: "a\xffb", Data: one}, "{\"topic\":\"a\ufffdb\",\"data\":1}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(tt.envelope.Append([]byte("before ")))
			if want := "before " + tt.want; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestParseBlock(t *testing.T) {
	block := sse.AppendBlock(nil, "x", 500, []byte("a\nb"))
	got, err := sse.ParseBlock(block)
	if want := (sse.Event{Type: "x", Retry: 500, Data: "a\nb"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := sse.ParseBlock([]byte("event: x\n")); err == nil {
		t.Error("a block without data was read without an error")
	}
}

func FuzzEnvelope_IsOneLineOfJSON(f *testing.F) {
	f.Add("chatgpt", `{"a":"b"}`, "anna")
	f.Add("a\"\\\n\x00\xff\u2028", ` "x" `, "")
	f.Fuzz(func(t *testing.T, name, data, from string) {
		compact, err := json.Marshal(json.RawMessage(data))
		if err != nil || !json.Valid([]byte(data)) {
			t.Skip()
		}
		line := sse.Envelope{Topic: name, Data: compact, From: from}.Append(nil)
		if strings.ContainsAny(string(line), "\r\n") {
			t.Fatalf("%q holds a newline", line)
		}
		var got sse.Envelope
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
		if got.Topic != valid(name) || got.From != valid(from) || string(got.Data) != string(compact) {
			t.Fatalf("%q decodes to %+v", line, got)
		}
	})
}
