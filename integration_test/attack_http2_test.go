package integration_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// Types and flags of HTTP/2 frames (RFC 9113, section 6).
const (
	frameData, frameHeaders, framePriority, frameReset, frameSettings = 0, 1, 2, 3, 4
	framePing, frameGoAway, frameWindow, frameContinuation            = 6, 7, 8, 9

	endStream, endHeaders = 1, 4
)

// A framer writes HTTP/2 frames, as clients of the standard library would not. Its first error is kept: a gateway that
// has enough hangs up.
type framer struct {
	conn net.Conn
	err  error
}

// dialFramer opens a connection, and reads whatever comes over it if read is set.
func dialFramer(t *testing.T, gateway *lab.Gateway, read bool) *framer {
	t.Helper()
	f := &framer{conn: dialFrom(t, gateway, "")}
	if tcp, ok := f.conn.(*net.TCPConn); ok && !read {
		_ = tcp.SetReadBuffer(4 << 10) // what is not read stays with the gateway
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		if read {
			_, _ = io.Copy(io.Discard, f.conn)
		}
	}()
	t.Cleanup(func() {
		_ = f.conn.Close()
		<-reading
	})
	_, f.err = io.WriteString(f.conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f.frame(frameSettings, 0, 0, "")
	return f
}

func frame(kind, flags byte, stream uint32, payload string) string {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

func (f *framer) frame(kind, flags byte, stream uint32, payload string) {
	f.write(frame(kind, flags, stream, payload))
}

// write gives up soon: a gateway that does not read on while its own answers are not taken has done what it can.
func (f *framer) write(text string) {
	if f.err == nil {
		_ = f.conn.SetWriteDeadline(time.Now().Add(3 * time.Second))
		_, f.err = io.WriteString(f.conn, text)
	}
}

// hungUp returns an error unless the gateway has closed the connection, or does so soon.
func (f *framer) hungUp() error {
	for deadline := time.Now().Add(wait); f.err == nil && time.Now().Before(deadline); {
		f.frame(framePing, 0, 0, "12345678")
	}
	if f.err == nil || errors.Is(f.err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection is still open: %w", f.err)
	}
	return nil
}

// field is a header field that is neither compressed nor indexed (RFC 7541, section 6.2.2).
func field(name, value string) string { return "\x00" + hpackText(name) + hpackText(value) }

// indexed is a header field that is put into the table of the connection.
func indexed(name, value string) string { return "\x40" + hpackText(name) + hpackText(value) }

func hpackText(s string) string {
	n := len(s)
	if n < 127 {
		return string(rune(n)) + s
	}
	length := []byte{127}
	for n -= 127; n >= 128; n >>= 7 {
		length = append(length, byte(n&127|128))
	}
	return string(append(length, byte(n))) + s
}

func get2(path string) string {
	return field(":method", "GET") + field(":scheme", "http") + field(":authority", "gateway") + field(":path", path)
}

func (f *framer) open(stream uint32, path string) {
	f.frame(frameHeaders, endStream|endHeaders, stream, get2(path))
}

// A barrage is an attack over a connection of HTTP/2.
type barrage struct {
	name string
	deaf bool // the attacker reads nothing
	ends bool // the gateway has to hang up
	send func(f *framer)
}

const post2 = "\x00\x07:method\x04POST\x00\x07:scheme\x04http\x00\x0a:authority\x07gateway\x00\x05:path\x08/publish"

const aThousandStreams = "1,000 streams at once"

func floodsOfStreams() []barrage {
	cancel := string([]byte{0, 0, 0, 8})
	return []barrage{
		{"rapid reset", false, false, func(f *framer) {
			for id := uint32(1); id < 10_000 && f.err == nil; id += 2 {
				f.write(frame(frameHeaders, endStream|endHeaders, id, get2("/subscribe?topics=t")) + frame(frameReset, 0, id, cancel))
			}
		}},
		{"rapid reset of publishes", false, false, func(f *framer) {
			for id := uint32(1); id < 10_000 && f.err == nil; id += 2 {
				f.write(frame(frameHeaders, endHeaders, id, post2) + frame(frameData, 0, id, `{"topic":`) + frame(frameReset, 0, id, cancel))
			}
		}},
		{aThousandStreams, false, false, func(f *framer) {
			for id := uint32(1); id < 2_000; id += 2 {
				f.open(id, "/subscribe?topics=t")
			}
		}},
	}
}

func floodsOfFrames() []barrage {
	return []barrage{
		{"endless CONTINUATION", true, true, func(f *framer) {
			f.frame(frameHeaders, endStream, 1, get2("/"))
			piece := field("x", strings.Repeat("y", 16_000))
			for range 5_000 {
				f.frame(frameContinuation, 0, 1, piece)
			}
		}},
		{"endless empty CONTINUATION", true, false, func(f *framer) {
			f.frame(frameHeaders, endStream, 1, get2("/"))
			f.write(strings.Repeat(frame(frameContinuation, 0, 1, ""), 100_000))
		}},
		{"half a head, for ever", true, false, func(f *framer) { f.frame(frameHeaders, endStream, 1, get2("/")) }},
		{"a small head that unpacks to a large one", true, false, func(f *framer) {
			bomb := get2("/") + indexed("x", strings.Repeat("y", 3_000)) + strings.Repeat("\xbe", 10_000) // 62: the newest of the table
			f.frame(frameHeaders, endStream|endHeaders, 1, bomb)
		}},
		{"pings, and no answer is read", true, false, func(f *framer) { f.write(strings.Repeat(frame(framePing, 0, 0, "12345678"), 200_000)) }},
		{"settings, and no answer is read", true, false, func(f *framer) { f.write(strings.Repeat(frame(frameSettings, 0, 0, ""), 200_000)) }},
		{"priorities", false, false, func(f *framer) {
			for id := uint32(1); id < 200_000 && f.err == nil; id += 2 {
				f.frame(framePriority, 0, id, "\x00\x00\x00\x00\x10")
			}
		}},
		{"empty data", false, false, func(f *framer) {
			f.frame(frameHeaders, endHeaders, 1, post2)
			f.write(strings.Repeat(frame(frameData, 0, 1, ""), 100_000))
		}},
	}
}

func malformedFrames() []barrage {
	return []barrage{
		{"a window that overflows", false, true, func(f *framer) {
			f.write(strings.Repeat(frame(frameWindow, 0, 0, "\x7f\xff\xff\xff"), 3))
		}},
		{"a frame larger than allowed", false, true, func(f *framer) { f.frame(frameData, 0, 1, strings.Repeat("x", 1<<24-1)) }},
		{"a stream of an even number", false, true, func(f *framer) { f.open(2, "/") }},
		{"names in capitals", false, false, func(f *framer) { f.frame(frameHeaders, endStream|endHeaders, 1, get2("/")+field("X-Y", "z")) }},
		{"a connection's header", false, false, func(f *framer) {
			f.frame(frameHeaders, endStream|endHeaders, 1, get2("/")+field("transfer-encoding", "chunked")+field("connection", "close"))
		}},
		{"line breaks in a value", false, false, func(f *framer) {
			f.frame(frameHeaders, endStream|endHeaders, 1, get2("/subscribe?topics=t")+field("last-event-id", "1-1\r\n\r\nGET /metrics HTTP/1.1"))
		}},
		{"a path with a space", false, false, func(f *framer) { f.open(1, "/subscribe?topics=t HTTP/1.1\r\nX: y") }},
		{"no path", false, false, func(f *framer) {
			f.frame(frameHeaders, endStream|endHeaders, 1, field(":method", "GET")+field(":scheme", "http"))
		}},
		{"goodbyes", false, false, func(f *framer) {
			f.write(strings.Repeat(frame(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"), 10_000))
		}},
		{"noise", false, true, func(f *framer) { f.write(strings.Repeat("\xff\x00\x13noise", 10_000)) }},
	}
}

// What a flood leaves behind is nothing, and nobody else notices it.
func TestAttack_FloodsOverHTTP2(t *testing.T) {
	s := attackable(t, 1, nil)
	gateway := s.Replicas[0]
	for _, tt := range slices.Concat(floodsOfStreams(), floodsOfFrames(), malformedFrames()) {
		t.Run(tt.name, func(t *testing.T) {
			f := dialFramer(t, gateway, !tt.deaf)
			tt.send(f)
			s.unharmed(t)
			if tt.ends {
				if err := f.hungUp(); err != nil {
					t.Error(err)
				}
			}
			if tt.name == aThousandStreams {
				s.admits(t, 250)
			}
			_ = f.conn.Close()
			s.unharmed(t)
		})
	}
	s.admits(t, 0)
	lab.Eventually(t, wait, func() error {
		if files := gateway.Files(t); files > 50 {
			return fmt.Errorf("the gateway has %d files open", files)
		}
		return nil
	})
	if used := gateway.Memory(t); used > 1<<30 {
		t.Errorf("the gateway takes %d MB", used>>20)
	}
}

// admits waits until n streams are open besides the bystanders', and sees that they stay so many.
func (s *site) admits(t *testing.T, n float64) {
	t.Helper()
	open := func() error {
		if open := s.Replicas[0].Metric(t, "gateway_streams_open") - float64(len(s.bystanders)); open != n {
			return fmt.Errorf("%v streams are open, want %v", open, n)
		}
		return nil
	}
	lab.Eventually(t, wait, open)
	lab.Hold(t, 50*time.Millisecond, open)
}
