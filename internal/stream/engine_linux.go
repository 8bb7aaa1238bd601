package stream

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sse-gateway/internal/sse"
)

const (
	maxShards = 8
	headRoom  = 512         // bytes that heads mostly take
	quiet     = time.Minute // between two warnings
)

var errNotTCP = errors.New("not a TCP connection")

// epollEngine is the engine on Linux. Who may touch a stream's descriptor: adopt until Open returns, then the flusher of
// the stream's shard, and after that has let go the reaper, which closes it. The poller only tells them.
type epollEngine struct {
	set    *Streams
	poller *poller
	shards []*shard
	reaper *list
	warned atomic.Int64  // ms of the last warning since 1970
	stop   chan struct{} // closed by close
	done   sync.WaitGroup
}

func newEngine(set *Streams) (engine, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	e := &epollEngine{set: set, poller: p, reaper: newList(), stop: make(chan struct{})}
	e.done.Go(p.run)
	e.done.Go(e.reap)
	for range min(runtime.GOMAXPROCS(0), maxShards) {
		s := &shard{engine: e, dirty: newList()}
		e.shards = append(e.shards, s)
		e.done.Go(s.run)
	}
	return e, nil
}

// adopt takes a connection from net/http. A dup of its descriptor is all that is kept: the original, with the buffers,
// the goroutine and the runtime's poll structures around it, goes.
func (e *epollEngine) adopt(st *Stream, w http.ResponseWriter, r *http.Request, first []byte) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("hijack: %w", err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(e.set.opts.Stall)) // if it fails, so does Write
	if _, err := conn.Write(response200(w.Header(), first)); err != nil {
		_ = conn.Close()
		return fmt.Errorf("write head: %w", err)
	}
	if err := e.take(st, conn); err != nil {
		e.warn(err)
		_ = conn.SetWriteDeadline(time.Time{})
		openHijacked(st, conn)
		return nil
	}
	_ = conn.Close() // of the original descriptor: the connection stays open
	return nil
}

// response200 is the beginning of a response that comes in chunks, with the first one. The connection is of no use after it.
func response200(header http.Header, first []byte) []byte {
	header.Del("Content-Length")
	header.Set("Transfer-Encoding", "chunked")
	header.Set("Connection", "close")
	if header.Get("Date") == "" {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	var text bytes.Buffer
	text.Grow(headRoom + len(first))
	text.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&text) // a buffer takes everything; line breaks in values become spaces
	text.WriteString("\r\n")
	if len(first) == 0 {
		return text.Bytes()
	}
	return sse.AppendChunk(text.Bytes(), first)
}

// take duplicates the descriptor of conn and has it watched.
func (e *epollEngine) take(st *Stream, conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn) // nothing that embeds one: it may transform what is written
	if !ok {
		return errNotTCP
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(original uintptr) {
		fd, dupErr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, dupErr); err != nil {
		return fmt.Errorf("duplicate descriptor: %w", err)
	}
	// What was sent and not acknowledged for so long was sent to a peer that is no more. Old kernels may lack it.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(e.set.opts.Stall.Milliseconds()))
	st.fd = int32(fd)
	if err := e.poller.add(st); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

func (e *epollEngine) wake(st *Stream) { e.shards[int(st.fd)%len(e.shards)].dirty.push(st) }

func (e *epollEngine) close() {
	close(e.stop)
	e.poller.close()
	e.done.Wait()
}

// reap closes and releases the streams that the flushers have let go of: both take too long for a flusher.
func (e *epollEngine) reap() {
	for {
		select {
		case <-e.reaper.signal:
		case <-e.stop:
			return
		}
		for st := e.reaper.take(); st != nil; {
			next := st.next
			st.next = nil
			e.poller.remove(st)
			hangUp(st)
			st.release()
			st = next
		}
	}
}

// hangUp closes a stream's descriptor.
func hangUp(st *Stream) {
	fd := int(st.fd)
	st.mu.Lock()
	if st.reason == reasonClient {
		if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil {
			st.reason = ioReason(syscall.Errno(code))
		}
	}
	stalled := st.reason == reasonStalled
	st.mu.Unlock()
	if stalled {
		// Nobody takes what the kernel still holds.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	// With something unread, close resets the connection, and the client may lose what it has not read yet.
	var unread [4096]byte
	for range 16 {
		if n, err := unix.Read(fd, unread[:]); n <= 0 || err != nil {
			break
		}
	}
	_ = unix.Close(fd) // the descriptor is free in any case
}

// ioReason is the reason of a stream whose socket has that error.
func ioReason(err error) reason {
	if errors.Is(err, unix.ETIMEDOUT) {
		return reasonStalled
	}
	return reasonClient
}

// warn says that a stream could not be taken: not for each, when a limit of the system has been reached.
func (e *epollEngine) warn(err error) {
	now, last := time.Now().UnixMilli(), e.warned.Load()
	if now-last < quiet.Milliseconds() || !e.warned.CompareAndSwap(last, now) {
		return
	}
	e.set.opts.Log.Warn("streams stay with their handlers, which takes more memory", "err", err)
}
