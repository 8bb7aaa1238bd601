package sse_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"sse-gateway/internal/sse"
)

func TestAppendBlock_IsTheStandardsFormat(t *testing.T) {
	tests := []struct {
		name, eventType string
		retry           int
		data, want      string
	}{
		{"data alone", "", 0, "hi", "data: hi\n"},
		{"everything", "robot", 2731, "hi", "event: robot\nretry: 2731\ndata: hi\n"},
		{"no data is one empty line", "", 0, "", "data: \n"},
		{"LF", "", 0, "a\nb", "data: a\ndata: b\n"},
		{"CR", "", 0, "a\rb", "data: a\ndata: b\n"},
		{"CRLF is one newline", "", 0, "a\r\nb", "data: a\ndata: b\n"},
		{"LFCR is two", "", 0, "a\n\rb", "data: a\ndata: \ndata: b\n"},
		{"newline at the end", "", 0, "a\n", "data: a\ndata: \n"},
		{"CR at the end", "", 0, "a\r", "data: a\ndata: \n"},
		{"leading space is kept", "", 0, " a", "data:  a\n"},
		{"what looks like a field stays data", "", 0, "x\nid: 7\n\nevent: y", "data: x\ndata: id: 7\ndata: \ndata: event: y\n"},
		{"NUL and emoji", "", 0, "a\x00b🙂", "data: a\x00b🙂\n"},
		{"U+2028 and U+0085 are no newlines", "", 0, "a\u2028b\u0085c", "data: a\u2028b\u0085c\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(sse.AppendBlock(nil, tt.eventType, tt.retry, []byte(tt.data)))
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFrame_EndsInItsID(t *testing.T) {
	block := sse.AppendBlock(nil, "message", 0, []byte("hi"))
	tests := []struct {
		name  string
		frame *sse.Frame
		want  string
	}{
		{"event", sse.NewFrame(block, "7-0"), "event: message\ndata: hi\nid: 7-0\n\n"},
		{"event without id", sse.NewFrame(block, ""), "event: message\ndata: hi\n\n"},
		{"ping", sse.NewPing(), ": ping\n"},
		{"under another id", sse.NewFrame(block, "7-0").WithID("cAQ"), "event: message\ndata: hi\nid: cAQ\n\n"},
		{"its id taken away", sse.NewFrame(block, "7-0").WithID(""), "event: message\ndata: hi\n\n"},
		{"an id given", sse.NewFrame(block, "").WithID("7-0"), "event: message\ndata: hi\nid: 7-0\n\n"},
		{
			"data that looks like an id is not one",
			sse.NewFrame(sse.AppendBlock(nil, "", 0, []byte("x\nid: 1")), "").WithID("7-0"),
			"data: x\ndata: id: 1\nid: 7-0\n\n",
		},
		{"nothing at all", sse.NewFrame(nil, "").WithID("7-0"), "id: 7-0\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(tt.frame.Bytes()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got, want := string(tt.frame.Chunk()), fmt.Sprintf("%x\r\n%s\r\n", len(tt.want), tt.want); got != want || tt.frame.Len() != len(want) {
				t.Errorf("Chunk() is %q, of %d bytes, want %q", got, tt.frame.Len(), want)
			}
		})
	}
}

func TestFrame_KnowsWhatItIs(t *testing.T) {
	for name, test := range map[string]struct {
		frame       *sse.Frame
		event, ping bool
	}{
		"event":       {sse.NewFrame([]byte("data: hi\n"), "7-0"), true, false},
		"without id":  {sse.NewFrame([]byte("data: \n"), ""), true, false},
		"under an id": {sse.NewFrame([]byte("data: \n"), "").WithID("c"), true, false},
		"heartbeat":   {sse.NewPing(), false, true},
		"empty line":  {sse.NewFrame(nil, ""), false, false},
		"last":        {sse.NewLast(), false, false},
	} {
		if event, ping := test.frame.IsEvent(), test.frame.IsPing(); event != test.event || ping != test.ping {
			t.Errorf("%s: event %v, ping %v", name, event, ping)
		}
	}
	if got := sse.NewLast(); len(got.Bytes()) != 0 || string(got.Chunk()) != "0\r\n\r\n" {
		t.Errorf("the last frame is %q, as a chunk %q", got.Bytes(), got.Chunk())
	}
}

func TestFrame_WithIDLeavesTheFrameAlone(t *testing.T) {
	frame := sse.NewFrame(sse.AppendBlock(nil, "", 0, []byte("hi")), "1-0")
	before := string(frame.Bytes())
	frame.WithID("1-2345678901")
	if got := string(frame.Bytes()); got != before {
		t.Errorf("the frame became %q, want %q", got, before)
	}
}

func TestFrame_Raw(t *testing.T) {
	envelope := func(data string) string {
		return string(sse.Envelope{Topic: "t", Data: []byte(data)}.Append(nil))
	}
	tests := []struct {
		name, eventType, data, want string
	}{
		{"string", "", envelope(`"hi"`), "data: hi\nid: 1-0\n\n"},
		{"lines", "", envelope(`"a\nb\r\nc\rd"`), "data: a\ndata: b\ndata: c\ndata: d\nid: 1-0\n\n"},
		{"empty string", "", envelope(`""`), "data: \nid: 1-0\n\n"},
		{"number keeps its literal", "", envelope(`1e2`), "data: 1e2\nid: 1-0\n\n"},
		{"object", "", envelope(`{"a":[1,"<b>"]}`), "data: {\"a\":[1,\"<b>\"]}\nid: 1-0\n\n"},
		{"a type", "x", envelope(`1`), "event: x\ndata: 1\nid: 1-0\n\n"},
		{"null", "", envelope(`null`), "data: null\nid: 1-0\n\n"},
		{"a gap has no data of its own", "gap", `{"topic":"t","after":"0-1"}`, "event: gap\ndata: {\"topic\":\"t\",\"after\":\"0-1\"}\nid: 1-0\n\n"},
		{"not JSON", "", `hi`, "data: hi\nid: 1-0\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := sse.NewFrame(sse.AppendBlock(nil, tt.eventType, 0, []byte(tt.data)), "1-0")
			raw := frame.Raw()
			if got := string(raw.Bytes()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if frame.Raw() != raw {
				t.Error("Raw is made again at each call")
			}
		})
	}
}

func TestFrame_RawKeepsRetry(t *testing.T) {
	data := sse.Envelope{User: "jack", Data: []byte(`"hi"`)}.Append(nil)
	frame := sse.NewFrame(sse.AppendBlock(nil, "x", 500, data), "1-0")
	if got, want := string(frame.Raw().Bytes()), "event: x\nretry: 500\ndata: hi\nid: 1-0\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFrame_RawIsSharedByConcurrentCallers(t *testing.T) {
	data := sse.Envelope{Topic: "t", Data: []byte(`"hi"`)}.Append(nil)
	frame := sse.NewFrame(sse.AppendBlock(nil, "", 0, data), "1-0")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got, want := string(frame.Raw().Bytes()), "data: hi\nid: 1-0\n\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	group.Wait()
}

func TestFrame_DeliveryAndEncodingDoNotAllocate(t *testing.T) {
	frame := sse.NewFrame(sse.AppendBlock(nil, "message", 0, []byte("hi")), "1-0")
	frame.Raw()
	data := []byte(strings.Repeat("x", 100) + "\n" + strings.Repeat("y", 100))
	names := sse.Envelope{Topic: "chat.群组.<1>", User: "", Data: []byte(`{"a":1}`), From: "anna"}
	dst := make([]byte, 0, 1024)
	for name, call := range map[string]func(){
		"Bytes":           func() { _ = frame.Bytes() },
		"Len":             func() { _ = frame.Len() },
		"Raw, made":       func() { _ = frame.Raw() },
		"AppendBlock":     func() { dst = sse.AppendBlock(dst[:0], "message", 1000, data) },
		"Envelope.Append": func() { dst = names.Append(dst[:0]) },
	} {
		if got := testing.AllocsPerRun(100, call); got != 0 {
			t.Errorf("%s allocates %v times, want 0", name, got)
		}
	}
}
