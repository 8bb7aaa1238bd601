package stream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// play runs this test binary as the process that a test needs beside itself.
func play(role string, args []string) int {
	var err error
	switch role {
	case "subscribers":
		err = playSubscribers(args)
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// playSubscribers opens args[1] streams of the server args[0] and reads them. After each args[2] bytes, over all
// streams and without heads and first blocks, it writes a byte to standard output.
func playSubscribers(args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	unit, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	for range count {
		conn, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		text, head := bufio.NewReaderSize(conn, 16), ""
		for len(head) < len(first) || head[len(head)-len(first):] != first {
			c, err := text.ReadByte()
			if err != nil {
				return err
			}
			head += string(c)
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			return err
		}
		err = raw.Control(func(fd uintptr) {
			dup, _ := unix.Dup(int(fd))
			_ = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, dup, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(dup)})
		})
		if err != nil {
			return err
		}
		_ = conn.Close()
	}
	_, _ = os.Stdout.Write([]byte{1})
	events, buf, total := make([]unix.EpollEvent, 512), make([]byte, 64<<10), 0
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && err != unix.EINTR { //nolint:errorlint // an errno as the system call returns it
			return err
		}
		for _, event := range events[:max(n, 0)] {
			got, err := unix.Read(int(event.Fd), buf)
			if got <= 0 || err != nil {
				return nil
			}
			for total += got; total >= unit; total -= unit {
				if _, err := os.Stdout.Write([]byte{1}); err != nil {
					return nil
				}
			}
		}
	}
}

// startRole starts this binary in a role, with a command before it if there is one, and returns its output.
func startRole(t testing.TB, role string, args ...string) io.Reader {
	t.Helper()
	name, rest := os.Args[0], args
	if pin := os.Getenv("STREAM_BENCH_PIN"); pin != "" {
		name, rest = "taskset", append([]string{"-c", pin, os.Args[0]}, args...)
	}
	cmd := exec.Command(name, rest...)
	cmd.Env = append(os.Environ(), "STREAM_TEST_ROLE="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return out
}
