package stream

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sse-gateway/internal/testkit"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("STREAM_TEST_ROLE"); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// play runs this test binary as the process that a test needs beside itself.
func play(role string, args []string) int {
	var err error
	switch role {
	case "subscribers":
		err = playSubscribers(args)
	case "server":
		err = playServer(args)
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
		conn, err := testkit.Dial(args[0])
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
		if err != nil && err != unix.EINTR {
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

// playServer serves streams, with a ping every 50 ms, under a limit of args[0] descriptors. It writes its address to
// standard output, and ends when its standard input does.
func playServer(args []string) error {
	limit, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	streams, err := New(Options{
		QueueBytes: 1000, QueueEvents: 10, Heartbeat: 50 * time.Millisecond, Engine: true,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	g := &gate{Streams: streams, opened: make(chan opened, 1000)}
	g.params = func() Params { return Params{First: []byte(first)} }
	g.replay = func(*http.Request, *Stream) {}
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	fmt.Println(g.server.Listener.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	_ = streams.Close()
	g.server.Close()
	return err
}

// A role is this test binary as another process.
type role struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *testkit.Buffer
}

// startRole starts a role, killed at the end of the test. STREAM_BENCH_PIN names the processors it may use.
func startRole(t testing.TB, name string, args ...string) *role {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	if pin := os.Getenv("STREAM_BENCH_PIN"); pin != "" {
		cmd = exec.Command("taskset", append([]string{"-c", pin, os.Args[0]}, args...)...)
	}
	cmd.Env = append(os.Environ(), "STREAM_TEST_ROLE="+name)
	r := &role{Cmd: cmd, err: &testkit.Buffer{}}
	cmd.Stderr = r.err
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if r.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, r.err)
		}
	})
	return r
}

// await reads one byte of the role's output.
func (r *role) await(t testing.TB) {
	t.Helper()
	if _, err := r.out.ReadByte(); err != nil {
		t.Fatalf("%v: %v: %s", r.Args, err, r.err)
	}
}
