package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
)

// A stream is an open stream that is ready, and read by nobody but its reader.
type stream struct {
	conn     net.Conn
	position string // the id of its ready event
}

// openStream opens a stream of one topic, at a cursor if there is one, and waits for ready. What comes later is read and
// thrown away.
func openStream(ctx context.Context, addr, topic, cursor string) (*stream, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	query := url.Values{"topic": {topic}}
	if cursor != "" {
		query.Set("last_event_id", cursor)
	}
	s := &stream{conn: conn}
	if _, err := fmt.Fprintf(conn, "GET /subscribe?%s HTTP/1.1\r\nHost: %s\r\n\r\n", query.Encode(), addr); err != nil {
		s.close()
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	reader := bufio.NewReaderSize(conn, 4096)
	ready := false
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			s.close()
			return nil, fmt.Errorf("open a stream of %s: it ended without ready: %w", topic, err)
		}
		line = strings.TrimRight(line, "\r\n")
		ready = ready || line == "event: ready" || line == "event:ready"
		if id, ok := strings.CutPrefix(line, "id:"); ok && ready {
			s.position = strings.TrimSpace(id)
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // ends when the stream is closed
	return s, nil
}

func (s *stream) close() { _ = s.conn.Close() } // nothing depends on it
