package httpapi

import (
	"bufio"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// A recorder remembers whether and how a request was answered.
type recorder struct {
	http.ResponseWriter
	status int // 0: not answered
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Hijack hands the connection over to the engine of the streams, which has one answer.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusOK
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe logs requests at debug, without their query, which may hold a token, and turns a panic into a 500.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() { // also when the panic goes on
			a.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method),
				slog.String("path", r.URL.Path), slog.Int("status", rec.status),
				slog.String("remote", r.RemoteAddr), slog.Duration("took", time.Since(start)))
		}()
		defer func() {
			if cause := recover(); cause != nil {
				a.recovered(rec, r, cause)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

func (a *API) recovered(rec *recorder, r *http.Request, cause any) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	a.log.LogAttrs(r.Context(), slog.LevelError, "request panicked", slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
	if rec.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	a.fail(rec, r, errPanic)
}

// secure sets the headers that keep a browser from taking an answer for something else.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// cors lets pages of the configured origins read answers, with credentials only those that are listed by name, and
// answers OPTIONS.
func (a *API) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		origin := r.Header.Get("Origin")
		if len(a.opts.CORSOrigins) > 0 {
			h.Add("Vary", "Origin")
		}
		allowed, listed := true, a.listed(origin)
		switch {
		case origin != "" && listed:
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Expose-Headers", "Retry-After")
		case origin != "" && a.anyOrigin():
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Expose-Headers", "Retry-After")
		default:
			allowed = false
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		methods := a.methods(r)
		if methods == "" {
			a.fail(w, r, noRoute(r))
			return
		}
		h.Set("Allow", methods)
		h.Add("Vary", "Access-Control-Request-Headers")
		if allowed && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", allowedHeaders(r, listed))
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// allowedHeaders are those that a page may send. One that is listed by name is trusted with whatever it asks for: frameworks and tracing
// add headers of theirs, and a preflight that misses one refuses the request.
func allowedHeaders(r *http.Request, listed bool) string {
	asked := strings.Join(r.Header.Values("Access-Control-Request-Headers"), ",")
	if listed && asked != "" {
		return asked
	}
	return "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
}

// listed tells whether an origin is configured by name. Origins are compared as browsers write them, in lower case.
func (a *API) listed(origin string) bool {
	return origin != "*" && slices.ContainsFunc(a.opts.CORSOrigins, func(listed string) bool {
		return strings.EqualFold(listed, origin)
	})
}

func (a *API) anyOrigin() bool { return slices.Contains(a.opts.CORSOrigins, "*") }

// methods lists the methods of the request's path, as Allow wants them; empty if there is no such path.
func (a *API) methods(r *http.Request) string {
	routes := chi.RouteContext(r.Context()).Routes
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if routes.Match(chi.NewRouteContext(), method, r.URL.EscapedPath()) {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		return ""
	}
	return strings.Join(append(allowed, http.MethodOptions), ", ")
}

// escaped makes routes match the path as it was sent, so that a name may hold an encoded slash.
func escaped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawPath = r.URL.EscapedPath()
		next.ServeHTTP(w, r)
	})
}
