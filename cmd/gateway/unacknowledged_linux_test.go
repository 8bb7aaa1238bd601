package main

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Streams over TLS and HTTP/2, and those of handlers, have no engine that would bound what stays unacknowledged: a client that
// lost its network held them for a quarter of an hour.
func TestServer_BoundsWhatStaysUnacknowledged(t *testing.T) {
	for heartbeat, want := range map[time.Duration]time.Duration{15 * time.Second: 30 * time.Second, time.Minute: 2 * time.Minute} {
		s, err := newServer(t.Context(), "GATEWAY_ADDR", "127.0.0.1:0", config{Heartbeat: heartbeat, MaxTopics: 1}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := s.listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		socket, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if controlErr := socket.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); controlErr != nil || err != nil {
			t.Fatal(controlErr, err)
		}
		if time.Duration(got)*time.Millisecond != want {
			t.Errorf("with a heartbeat of %s a connection ends after %d ms, want %s", heartbeat, got, want)
		}
		_, _, _ = client.Close(), conn.Close(), s.listener.Close()
	}
}
