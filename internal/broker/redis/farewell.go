package redis

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// A farewell is what Redis says to a connection that it does not take, before it ends it. go-redis would not hear it: it
// fails to write to what has ended, or takes the words for the answer of a Redis that does not know HELLO.
type farewell string

func (f farewell) Error() string { return string(f) }

// farewellPatience is for words that are there already when writing has failed.
const farewellPatience = 100 * time.Millisecond

// farewellOf reads a farewell from the first bytes of a connection.
func farewellOf(text []byte) (farewell, bool) {
	line, _, _ := strings.Cut(string(text), "\r\n")
	line, isError := strings.CutPrefix(line, "-")
	if isError && (strings.HasPrefix(line, "ERR max number of clients") || strings.HasPrefix(line, "DENIED ")) {
		return farewell(line), true
	}
	return "", false
}

// greeted is a connection that hears a farewell.
type greeted struct {
	*net.TCPConn
	hasRead, hasWritten bool // each owned by who reads, or writes
}

// Read fails with the farewell if the first that comes is one.
func (g *greeted) Read(p []byte) (int, error) {
	n, err := g.TCPConn.Read(p)
	if !g.hasRead && n > 0 {
		g.hasRead = true
		if words, ok := farewellOf(p[:n]); ok {
			return 0, fmt.Errorf("%w: %w", errUnreached, words)
		}
	}
	return n, err
}

// Write fails with the farewell if the first that is written is not taken. Nobody reads before that.
func (g *greeted) Write(p []byte) (int, error) {
	n, err := g.TCPConn.Write(p)
	if err != nil && !g.hasWritten {
		var buf [512]byte
		_ = g.SetReadDeadline(time.Now().Add(farewellPatience))
		got, _ := g.TCPConn.Read(buf[:])
		if words, ok := farewellOf(buf[:got]); ok {
			return n, fmt.Errorf("%w: %w", errUnreached, words)
		}
	}
	g.hasWritten = true
	return n, err
}
