package testkit

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// A listener whose queue is full drops SYNs: the dial gets no answer until somebody accepts.
func TestDial_TriesAgain(t *testing.T) {
	listener := fullListener(t)
	go func() {
		<-time.After(2 * dialTry)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	conn, err := Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// fullListener returns a listener that has as many connections waiting as it takes.
func fullListener(t *testing.T) net.Listener {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	dialer := net.Dialer{Timeout: dialTry / 3}
	for {
		conn, err := dialer.Dial("tcp", listener.Addr().String())
		if err != nil {
			return listener
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}
