package stream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"sse-gateway/internal/sse"
)

// handlerPiece is how many bytes a handler writes and flushes before that counts as progress.
const handlerPiece = 16 << 10

// connection is what a handler writes to: the response, or a connection that has been hijacked from it.
type connection interface {
	io.Writer
	// WriteFrame writes a frame in the form that the connection needs.
	WriteFrame(frame *sse.Frame) error
	Flush() error
	SetWriteDeadline(time.Time) error
	// Close ends the response: as a whole one, or so that it looks cut off.
	Close(whole bool) error
}

// A handlerPath writes a stream from the goroutine of its HTTP handler.
type handlerPath struct {
	conn   connection
	ctx    context.Context //nolint:containedctx // it is the request's, which tells that the client hangs up
	wakeup chan struct{}   // holds one token while there is something to do
	aborts sync.WaitGroup
	// unframed: the body ends with the connection, as in HTTP/1.0, and cannot look cut off.
	unframed bool
	writer   sync.Mutex // held by whoever writes: Open, then Serve, and between them WaitRoom
	headed   int64      // tick since which the head waits to be written; 0: it has been. Guarded by the stream's mu
}

func newHandlerPath(ctx context.Context, conn connection) *handlerPath {
	return &handlerPath{conn: conn, ctx: ctx, wakeup: make(chan struct{}, 1)}
}

// newResponsePath returns the path of a stream that its handler will write, from the head on.
func newResponsePath(w http.ResponseWriter, r *http.Request, now int64) *handlerPath {
	control := http.NewResponseController(w)
	// The server's WriteTimeout is for responses that end. Writers without deadlines have none to be lifted.
	_ = control.SetWriteDeadline(time.Time{})
	p := newHandlerPath(r.Context(), response{w, control})
	p.headed, p.unframed = now, !r.ProtoAtLeast(1, 1)
	return p
}

// writeHead sends the head and first. Over HTTP/2 that waits for the client's window; what ends the stream ends it, too.
func (p *handlerPath) writeHead(st *Stream, first []byte) {
	p.writer.Lock()
	defer p.writer.Unlock()
	_, err := p.conn.Write(first)
	if err == nil {
		err = p.conn.Flush()
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p.headed = 0
	if err != nil {
		st.endLocked(reasonClient, true)
	}
}

// serve writes what is pending whenever there is something, until the stream has ended.
func (p *handlerPath) serve(st *Stream) error {
	p.writer.Lock()
	defer p.writer.Unlock()
	for p.flush(st) {
		select {
		case <-p.wakeup:
		case <-p.ctx.Done():
			st.end(reasonClient, true)
		}
	}
	p.aborts.Wait()
	st.mu.Lock()
	whole := st.wholeLocked() || st.reason == reasonClient // nobody is left to see it
	st.mu.Unlock()
	err := p.conn.Close(whole)
	st.release()
	return err
}

// flush writes all that is pending. It returns false when the stream is over.
func (p *handlerPath) flush(st *Stream) bool {
	for {
		frames, _, over := st.pending()
		if over {
			return false
		}
		if len(frames) == 0 {
			return true
		}
		n, err := p.write(frames)
		if err != nil {
			st.end(reasonClient, true)
			return false
		}
		events, _, _ := st.wrote(n)
		st.set.counters.add(tally{events: events, bytes: n, writes: 1})
	}
}

// write writes and flushes frames until they make a piece, and returns the number of bytes.
func (p *handlerPath) write(frames []*sse.Frame) (int, error) {
	n := 0
	for _, frame := range frames {
		if n > 0 && n+frame.Len() > handlerPiece {
			break
		}
		if err := p.conn.WriteFrame(frame); err != nil {
			return 0, err
		}
		n += frame.Len()
	}
	return n, p.conn.Flush()
}

// wake makes serve look at the stream.
func (p *handlerPath) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// abort ends a write that is under way, without waiting for it. It is called once at most, before the stream is gone.
func (p *handlerPath) abort() {
	p.aborts.Go(func() { _ = p.conn.SetWriteDeadline(time.Unix(1, 0)) }) // without deadlines a write ends by itself
}

// response is the connection of a stream that stays with net/http, which closes it.
type response struct {
	http.ResponseWriter
	*http.ResponseController
}

func (r response) WriteFrame(frame *sse.Frame) error {
	_, err := r.Write(frame.Bytes())
	return err
}

// Close leaves it to the handler to abort what is not whole.
func (response) Close(whole bool) error {
	if whole {
		return nil
	}
	return http.ErrAbortHandler
}

// hijacked is the connection of a stream that was taken from net/http and could not be given to the engine.
type hijacked struct {
	*bufio.Writer
	conn   net.Conn
	reader sync.WaitGroup
}

// openHijacked makes a stream of a connection on which the head has been written. Its handler will write it.
func openHijacked(st *Stream, conn net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hijacked{Writer: bufio.NewWriter(conn), conn: conn}
	h.reader.Go(func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, conn) // whatever ends it, the client is gone
	})
	st.path = newHandlerPath(ctx, h)
}

func (h *hijacked) SetWriteDeadline(t time.Time) error { return h.conn.SetWriteDeadline(t) }

func (h *hijacked) WriteFrame(frame *sse.Frame) error {
	_, err := h.Write(frame.Chunk())
	return err
}

// Close closes the connection, after the last chunk or without.
func (h *hijacked) Close(bool) error {
	_ = h.conn.Close() // nothing can be done about it, nothing is left to be sent
	h.reader.Wait()
	return nil
}
