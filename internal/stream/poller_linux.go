package stream

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watched is what the kernel reports about a stream from the start: the peer has gone. All events are edge-triggered,
// so that each is told once. EPOLLERR and EPOLLHUP always come.
const watched = unix.EPOLLRDHUP | unix.EPOLLET

// A poller waits for events of all descriptors of the engine, with one epoll set.
type poller struct {
	file *os.File // the epoll set's descriptor, itself in the runtime's poller: waiting takes no thread
	raw  syscall.RawConn
	fd   int

	mu      sync.Mutex
	streams []*Stream // by descriptor; guarded by mu
	gen     int32     // of the last stream added; guarded by mu
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	return &poller{file: file, raw: raw, fd: fd}, nil
}

// run handles events until close.
func (p *poller) run() {
	events := make([]unix.EpollEvent, 256)
	_ = p.raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events, 0)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				return false // wait until the epoll set has events again
			}
			for _, event := range events[:n] {
				p.handle(event)
			}
		}
	})
}

// close ends run.
func (p *poller) close() { _ = p.file.Close() }

// handle tells a stream what has happened to its socket.
func (p *poller) handle(event unix.EpollEvent) {
	st := p.find(event)
	switch {
	case st == nil:
	case event.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0:
		st.end(reasonClient, true)
	case event.Events&unix.EPOLLOUT != 0:
		st.unblock()
	}
}

// find returns the stream that an event is about: nil when that has gone, even if the descriptor is in use again.
func (p *poller) find(event unix.EpollEvent) *Stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.streams[event.Fd]; st != nil && st.gen == event.Pad {
		return st
	}
	return nil
}

// add has a stream's descriptor watched.
func (p *poller) add(st *Stream) error {
	p.mu.Lock()
	for int(st.fd) >= len(p.streams) {
		p.streams = append(p.streams, nil)
	}
	p.gen++
	st.gen = p.gen
	p.streams[st.fd] = st
	p.mu.Unlock()
	if err := p.control(st, unix.EPOLL_CTL_ADD, watched); err != nil {
		p.remove(st)
		return err
	}
	return nil
}

// awaitRoom asks for the event that the stream's socket can be written to. The kernel looks at the socket now as well:
// room that was made since the write that found none is told, too.
func (p *poller) awaitRoom(st *Stream) error {
	return p.control(st, unix.EPOLL_CTL_MOD, watched|unix.EPOLLOUT)
}

// remove forgets a stream. Its descriptor leaves the epoll set when it is closed.
func (p *poller) remove(st *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[st.fd] = nil
}

func (p *poller) control(st *Stream, operation int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: st.fd, Pad: st.gen}
	return unix.EpollCtl(p.fd, operation, int(st.fd), &event)
}
