package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged makes connections end on which nothing that was sent has been acknowledged for so long: their peers
// are gone without a word. They have it from the listening socket, so that it costs none of them a system call.
func boundUnacknowledged(limit time.Duration) func(network, address string, socket syscall.RawConn) error {
	return func(_, _ string, socket syscall.RawConn) error {
		// Old kernels may lack it: then the times of reads and writes, which are longer, find them.
		return socket.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
		})
	}
}
