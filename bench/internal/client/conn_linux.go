package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// conn is a non-blocking TCP connection on the loop: it connects, writes what is queued, and hands on what it reads.
type conn struct {
	loop      *loop
	fd        int
	connected bool
	out       []byte             // not yet written
	received  func([]byte) error // its argument is valid until it returns
	failed    func(error)        // told once, after which the connection is closed
}

// perSource bounds the connections from one source address, well below the range of ephemeral ports (28,232).
const perSource = 20_000

// dial starts to connect to addr. On loopback the source address is one of 127.0.x.y, chosen by the connection's
// number, so that there are ephemeral ports for all.
func (c *conn) dial(addr string, number int) error {
	to, err := sockaddr(addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("create socket: %w", err)
	}
	c.fd = fd
	source := number/perSource + 2
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(source >> 8), byte(source)}}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		// A reset at the end instead of TIME_WAIT: thousands of those would slow down what is measured next.
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
	)
	if err == nil && to.Addr[0] == 127 {
		err = unix.Bind(fd, from)
	}
	if err == nil {
		if err = unix.Connect(fd, to); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	}
	if err == nil {
		err = c.loop.add(fd, c)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("connect to %s: %w", addr, err), unix.Close(fd))
	}
	return nil
}

func (c *conn) close() {
	if c.fd >= 0 {
		c.loop.remove(c.fd)
		c.fd = -1
	}
}

// fail closes the connection and tells why.
func (c *conn) fail(err error) {
	if c.fd >= 0 {
		c.close()
		c.failed(err)
	}
}

// ready implements handler.
func (c *conn) ready(events uint32) {
	if !c.connected {
		code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			c.fail(fmt.Errorf("connect: %w", err))
			return
		}
		c.connected = events&unix.EPOLLOUT != 0
	}
	if c.connected && len(c.out) > 0 {
		c.flush()
	}
	hangUp := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if hangUp || events&unix.EPOLLIN != 0 {
		c.read(hangUp)
	}
}

// flush writes what is queued; what does not go out now does when the socket is writable.
func (c *conn) flush() {
	if !c.connected || c.fd < 0 {
		return
	}
	n, err := unix.Write(c.fd, c.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		c.fail(fmt.Errorf("write: %w", err))
		return
	}
	c.out = c.out[:copy(c.out, c.out[max(n, 0):])]
}

// read hands on what has arrived. A short read has drained the socket, and what comes then raises a new edge; only an
// end that was already told of does not.
func (c *conn) read(hangUp bool) {
	for c.fd >= 0 {
		n, err := unix.Read(c.fd, c.loop.buf)
		c.loop.reads++
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			c.fail(fmt.Errorf("read: %w", err))
			return
		case n == 0:
			c.fail(fmt.Errorf("read: %w", io.EOF))
			return
		}
		if err := c.received(c.loop.buf[:n]); err != nil {
			c.fail(err)
			return
		}
		if n < len(c.loop.buf) && !hangUp {
			return
		}
	}
}

func sockaddr(addr string) (*unix.SockaddrInet4, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("parse address %q: %w", addr, err)
	}
	ip := net.ParseIP(host).To4()
	number, err := strconv.ParseUint(port, 10, 16)
	if ip == nil || err != nil {
		return nil, fmt.Errorf("parse address %q: not an IPv4 address with a port", addr)
	}
	return &unix.SockaddrInet4{Port: int(number), Addr: [4]byte(ip)}, nil
}
