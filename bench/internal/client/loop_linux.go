package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A loop is one epoll instance and what is registered with it. Everything in this package runs in the goroutine that
// calls poll: there are no locks.
type loop struct {
	epoll    int
	timer    int
	handlers []handler // by descriptor
	events   []unix.EpollEvent
	buf      []byte // where every read goes; free again when ready returns
	reads    int
	base     time.Time
	tick     func(scheduled int64)
	next     int64 // when tick is due, ns since base
	interval int64
}

// A handler is told when its descriptor is ready. Readiness is edge-triggered.
type handler interface{ ready(events uint32) }

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create timer: %w", err), unix.Close(epoll))
	}
	l := &loop{
		epoll:  epoll,
		timer:  timer,
		events: make([]unix.EpollEvent, 512),
		buf:    make([]byte, 256<<10),
		base:   time.Now(),
	}
	if err := l.add(timer, ticker{l}); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *loop) close() error { return errors.Join(unix.Close(l.timer), unix.Close(l.epoll)) }

// now returns the monotonic time in ns since the loop was made.
func (l *loop) now() int64 { return int64(time.Since(l.base)) }

func (l *loop) add(fd int, h handler) error {
	for fd >= len(l.handlers) {
		l.handlers = append(l.handlers, nil)
	}
	l.handlers[fd] = h
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(fd),
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

func (l *loop) remove(fd int) {
	l.handlers[fd] = nil
	_ = unix.Close(fd) // which takes it out of the epoll instance
}

// poll waits up to timeout for readiness and serves what is ready.
func (l *loop) poll(timeout time.Duration) error {
	n, err := l.wait(timeout)
	if err != nil {
		return fmt.Errorf("wait for readiness: %w", err)
	}
	for _, event := range l.events[:n] {
		if h := l.handlers[event.Fd]; h != nil { // nil: closed by a handler before it
			h.ready(event.Events)
		}
	}
	return nil
}

// wait is epoll_wait without telling Go's scheduler, which would move this goroutine's processor to another thread and
// back at nearly each call. Other goroutines still get their turn: the scheduler's signal interrupts the wait.
func (l *loop) wait(timeout time.Duration) (int, error) {
	millis := uintptr(max(timeout+time.Millisecond-1, 0) / time.Millisecond)
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll),
		uintptr(unsafe.Pointer(&l.events[0])), //nolint:gosec // as package unix does it
		uintptr(len(l.events)), millis, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	default:
		return 0, errno
	}
}

// every calls tick at a fixed rate from now on, with the time it was due; a nil tick stops that. When the loop is late,
// the calls that were missed are made up for.
func (l *loop) every(interval time.Duration, tick func(scheduled int64)) error {
	l.tick, l.interval, l.next = tick, int64(interval), l.now()+int64(interval)
	return l.arm()
}

func (l *loop) arm() error {
	var spec unix.ItimerSpec
	if l.tick != nil {
		spec.Value = unix.NsecToTimespec(max(l.next-l.now(), 1))
	}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return nil
}

// A ticker is the handler of the loop's timer.
type ticker struct{ l *loop }

func (t ticker) ready(uint32) {
	l := t.l
	var expirations [8]byte
	if n, err := unix.Read(l.timer, expirations[:]); err != nil || binary.NativeEndian.Uint64(expirations[:n]) == 0 {
		return
	}
	for l.tick != nil && l.next <= l.now() {
		due := l.next
		l.next += l.interval
		l.tick(due)
	}
	_ = l.arm() // fails only for a bad descriptor or time
}
