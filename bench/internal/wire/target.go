package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// A Target says how a server is spoken to. In Subscribe, {topics} stands for the topics, joined by Separator; in
// Publish and Body, {topic} stands for one topic and {data} for the data.
type Target struct {
	Addr      string // host and port, the host an IPv4 address
	Subscribe string // path and query of a subscription
	Separator string
	Publish   string // path and query of a publish request
	Body      string // body of a publish request, and of each line of NDJSON
	NDJSON    string // path of streaming publishes; empty: the server has none, requests are pipelined instead
	Header    string // further header lines, each ended by CRLF
}

// Gateway returns the target for this project's gateway at an address.
func Gateway(addr string) Target {
	return Target{
		Addr:      addr,
		Subscribe: "/subscribe?topics={topics}",
		Separator: "|",
		Publish:   "/publish",
		Body:      `{"topic":"{topic}","data":"{data}"}`,
		NDJSON:    "/publish",
	}
}

// Nchan returns the target for an nginx with nchan, configured by the server package, at an address.
func Nchan(addr string) Target {
	return Target{
		Addr:      addr,
		Subscribe: "/sub?id={topics}",
		Separator: ",",
		Publish:   "/pub?id={topic}",
		Body:      "{data}",
	}
}

// TopicName returns the name of a topic.
func TopicName(index int) string { return "t" + strconv.Itoa(index) }

// SubscribeRequest returns the request that opens a stream of topics first to first+count-1.
func (t Target) SubscribeRequest(first, count int) []byte {
	names := make([]string, count)
	for i := range names {
		names[i] = TopicName(first + i)
	}
	path := strings.ReplaceAll(t.Subscribe, "{topics}", strings.Join(names, t.Separator))
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n", path, t.Addr, t.Header)
}

// AppendPublish appends the request that publishes data, which must need no escaping, in a topic.
func (t Target) AppendPublish(dst []byte, topic int, data []byte) []byte {
	path, pathEnd, named := strings.Cut(t.Publish, "{topic}")
	dst = append(append(dst, "POST "...), path...)
	if named {
		dst = append(appendTopic(dst, topic), pathEnd...)
	}
	dst = append(append(dst, " HTTP/1.1\r\nHost: "...), t.Addr...)
	dst = append(append(dst, "\r\n"...), t.Header...)
	if strings.HasPrefix(t.Body, "{") && t.Body != "{data}" {
		dst = append(dst, "Content-Type: application/json\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(t.bodyLen(topic, len(data))), 10)
	return t.AppendBody(append(dst, "\r\n\r\n"...), topic, data)
}

// AppendStreamHead appends the head of a streaming publish request, whose lines follow as chunks.
func (t Target) AppendStreamHead(dst []byte) []byte {
	return fmt.Appendf(dst, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-ndjson\r\n"+
		"Transfer-Encoding: chunked\r\n%s\r\n", t.NDJSON, t.Addr, t.Header)
}

// AppendBody appends the body that publishes data in a topic.
func (t Target) AppendBody(dst []byte, topic int, data []byte) []byte {
	rest := t.Body
	for rest != "" {
		open := strings.IndexByte(rest, '{')
		switch {
		case open < 0:
			return append(dst, rest...)
		case strings.HasPrefix(rest[open:], "{topic}"):
			dst = appendTopic(append(dst, rest[:open]...), topic)
			rest = rest[open+len("{topic}"):]
		case strings.HasPrefix(rest[open:], "{data}"):
			dst = append(append(dst, rest[:open]...), data...)
			rest = rest[open+len("{data}"):]
		default:
			dst = append(dst, rest[:open+1]...)
			rest = rest[open+1:]
		}
	}
	return dst
}

// bodyLen is the length of what AppendBody appends.
func (t Target) bodyLen(topic, data int) int {
	n := len(t.Body)
	if k := strings.Count(t.Body, "{topic}"); k > 0 {
		name := 2
		for v := topic; v >= 10; v /= 10 {
			name++
		}
		n += k * (name - len("{topic}"))
	}
	return n + strings.Count(t.Body, "{data}")*(data-len("{data}"))
}

func appendTopic(dst []byte, index int) []byte {
	return strconv.AppendInt(append(dst, 't'), int64(index), 10)
}
