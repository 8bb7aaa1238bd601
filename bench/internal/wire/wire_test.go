package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sse-gateway/internal/sse"
)

func TestMark_RoundTripInsideAnyEnvelope(t *testing.T) {
	want := Mark{Topic: 99_999, Seq: 123_456_789, Sent: 987_654_321_012_345_678}
	text := want.Append(nil, 100)
	if len(text) != 100 {
		t.Errorf("length: got %d, want 100", len(text))
	}
	if got := (Mark{}).Append(nil, 0); len(got) != MarkLen {
		t.Errorf("shortest: got %d bytes, want %d", len(got), MarkLen)
	}
	for _, envelope := range []string{"%s", `{"topic":"t99999","data":"%s"}`, `{"data":"%s","topic":"t1"}`} {
		got, ok := FindMark(fmt.Appendf(nil, envelope, text))
		if !ok || got != want {
			t.Errorf("in %s: got %+v %t, want %+v", envelope, got, ok, want)
		}
	}
	for _, bad := range []string{"", "bench:", string(text[:MarkLen-1]), "bench:x" + string(text[7:])} {
		if _, ok := FindMark([]byte(bad)); ok {
			t.Errorf("%q: taken for a mark", bad)
		}
	}
}

// decode feeds a response in pieces of n bytes and returns the data of its events.
func decode(t *testing.T, response []byte, n int) (types, data []string, d *Events) {
	t.Helper()
	d = new(Events)
	for piece := range slices.Chunk(slices.Clone(response), n) {
		if err := d.Feed(piece); err != nil {
			t.Fatalf("feed in pieces of %d: %v", n, err)
		}
		var e Event
		for d.Next(&e) {
			types, data = append(types, e.Type), append(data, string(e.Data))
		}
	}
	return types, data, d
}

const stream = ": hi\n\nretry: 2731\nevent: ready\ndata: {}\nid: 1-1\n\nid: 2-2\n\n: ping\nid: 3-3\n\n" +
	"event: message\r\ndata: one\r\nid: 4-4\r\n\r\ndata:two\n\nevent: lost\n\ndata: \n\ndata: incomplete\n"

func TestEvents_AreTheOnesOfTheReferenceDecoder(t *testing.T) {
	var wantTypes, wantData []string
	reference := sse.NewDecoder(strings.NewReader(stream))
	for {
		event, err := reference.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		wantTypes, wantData = append(wantTypes, event.Type), append(wantData, event.Data)
	}
	var chunked bytes.Buffer
	for piece := range slices.Chunk([]byte(stream), 17) {
		fmt.Fprintf(&chunked, "%X;ext=1\r\n%s\r\n", len(piece), piece)
	}
	for name, response := range map[string]string{
		"raw":     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + stream,
		"chunked": "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n" + chunked.String(),
	} {
		for n := 1; n <= len(response); n++ {
			types, data, d := decode(t, []byte(response), n)
			for i := range types {
				if types[i] == "" {
					types[i] = "message"
				}
			}
			if !slices.Equal(types, wantTypes) || !slices.Equal(data, wantData) {
				t.Fatalf("%s in pieces of %d: got %q %q, want %q %q", name, n, types, data, wantTypes, wantData)
			}
			if !d.HeadDone() || !d.Began() || d.Ended() || d.Head.Status != http.StatusOK {
				t.Fatalf("%s in pieces of %d: head %+v, began %t, ended %t", name, n, d.Head, d.Began(), d.Ended())
			}
		}
	}
}

func TestEvents_EndOfChunkedStream(t *testing.T) {
	response := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\nTrailer: x\r\n\r\n"
	for n := 1; n <= len(response); n++ {
		_, data, d := decode(t, []byte(response), n)
		if len(data) != 1 || !d.Ended() {
			t.Fatalf("in pieces of %d: got %q, ended %t", n, data, d.Ended())
		}
	}
}

func TestEvents_MalformedResponses(t *testing.T) {
	for _, response := range []string{
		"SMTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 2xx OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
		"HTTP/1.1 200 OK" + strings.Repeat("x", maxHead+1),
	} {
		var d Events
		if err := d.Feed([]byte(response)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40q: got %v, want ErrMalformed", response, err)
		}
	}
}

func TestEvents_FeedAndNextDoNotAllocate(t *testing.T) {
	var d Events
	if err := d.Feed([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	var e Event
	block := []byte("event: message\ndata: {\"topic\":\"t1\",\"data\":\"x\"}\nid: 1763870000123-0\n\nevent: mess")
	rest := []byte("age\ndata: y\n\n")
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{block, rest} {
			_ = d.Feed(b)
			for d.Next(&e) {
				_, _ = FindMark(e.Data)
			}
		}
	}); n > 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func TestTarget_PublishRequestsParse(t *testing.T) {
	for name, target := range map[string]Target{"gateway": Gateway("127.0.0.1:1"), "nchan": Nchan("127.0.0.1:1")} {
		for _, topic := range []int{0, 9, 10, 99_999} {
			raw := target.AppendPublish(nil, topic, []byte("hello"))
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatalf("%s: parse %q: %v", name, raw, err)
			}
			body, err := io.ReadAll(request.Body)
			if err != nil || !bytes.HasSuffix(raw, append([]byte("\r\n\r\n"), body...)) {
				t.Errorf("%s: body %q (%v) is not all that follows the head of %q", name, body, err, raw)
			}
			if !strings.Contains(string(raw), TopicName(topic)) || !strings.Contains(string(body), "hello") {
				t.Errorf("%s: topic or data missing in %q", name, raw)
			}
		}
	}
}

func TestTarget_SubscribeRequestParses(t *testing.T) {
	raw := Gateway("127.0.0.1:1").SubscribeRequest(7, 3)
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := request.URL.Query().Get("topics"), "t7|t8|t9"; got != want {
		t.Errorf("topics: got %q, want %q", got, want)
	}
}
