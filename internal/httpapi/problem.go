package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/limit"
)

// retryUnavailable is the Retry-After of an answer that comes from the event store being away.
const retryUnavailable = 2 * time.Second

// retryRefused is the Retry-After of what does not pass by itself.
const retryRefused = 30 * time.Second

// refusedDetail is what is told of a store that refuses.
const refusedDetail = "the event store refuses what this gateway asks of it; trying again does not help before its operator has acted"

// A problem is an error as clients see it: an answer by RFC 9457. Its detail never shows an internal cause.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	slug       string        // the last part of Type
	retryAfter time.Duration // the Retry-After header; 0: none
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// in is the same problem, its detail led by the place that it is about.
func (p *problem) in(place string) *problem {
	placed := *p
	placed.Detail = place + ": " + p.Detail
	return &placed
}

func newProblem(status int, slug, title, format string, args ...any) *problem {
	return &problem{
		Type:   "urn:sse-gateway:problem:" + slug,
		Title:  title,
		Status: status,
		Detail: fmt.Sprintf(format, args...),
		slug:   slug,
	}
}

func invalid(format string, args ...any) *problem {
	return newProblem(http.StatusBadRequest, "invalid-request", "Invalid request", format, args...)
}

func forbidden(format string, args ...any) *problem {
	return newProblem(http.StatusForbidden, "forbidden", "Not allowed", format, args...)
}

func notFound(format string, args ...any) *problem {
	return newProblem(http.StatusNotFound, "not-found", "Not found", format, args...)
}

func tooLarge(format string, args ...any) *problem {
	return newProblem(http.StatusRequestEntityTooLarge, "too-large", "Too large", format, args...)
}

func tooManyEvents(wait time.Duration) *problem {
	p := newProblem(http.StatusTooManyRequests, "rate-limited", "Too many events",
		"this publisher sends more events than it may; nothing of this was published")
	p.retryAfter = max(wait, time.Second)
	return p
}

// tooManyRequests is the problem of a limit of requests of lines.
func (a *API) tooManyRequests(err error) *problem {
	limits := a.opts.Publishes
	detail := fmt.Sprintf("this publisher has %d requests of lines open, the limit", limits.PerUser)
	if errors.Is(err, limit.ErrStreams) {
		detail = fmt.Sprintf("%d requests of lines are open on this replica, the limit", limits.Total)
	}
	p := newProblem(http.StatusTooManyRequests, "too-many-requests", "Too many requests", "%s; end one, or publish events singly", detail)
	p.retryAfter = retryUnavailable
	return p
}

// idle is the problem of a request of lines that brings none.
func idle(most time.Duration) *problem {
	return newProblem(http.StatusRequestTimeout, "idle", "Idle", "lines: none came for %s; an empty one keeps the request open", most)
}

func unavailable(slug, title, detail string) *problem {
	p := newProblem(http.StatusServiceUnavailable, slug, title, "%s", detail)
	p.retryAfter = retryUnavailable
	return p
}

// A bodyError is what keeps a request's body from being read. Whatever it is, the client has made it, or has gone.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }

// storeRefuses is the problem of a store that takes nothing until its operator has acted.
func storeRefuses() *problem {
	p := unavailable("refused", "Event store refuses", refusedDetail+", and is safe with the same key")
	p.retryAfter = retryRefused
	return p
}

// problemOf is the one place where errors become what a client is told.
func problemOf(err error) *problem {
	var p *problem
	var tooLong *http.MaxBytesError
	var unread *bodyError
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, auth.ErrNoToken):
		return newProblem(http.StatusUnauthorized, "unauthenticated", "Not authenticated",
			"a token is required: Authorization: Bearer, the cookie, or the query parameter access_token")
	case errors.Is(err, auth.ErrManyTokens):
		return invalid("token: %s", auth.Detail(err))
	case errors.Is(err, auth.ErrBadToken):
		return newProblem(http.StatusUnauthorized, "unauthenticated", "Not authenticated", "token: %s", auth.Detail(err))
	case errors.Is(err, auth.ErrKeysUnavailable):
		return unavailable("keys-unavailable", "Keys unavailable", "the keys that tokens are checked with are unavailable")
	case errors.Is(err, fanout.ErrCutUntold):
		return unavailable("cut-untold", "Not cut off everywhere", "the user is cut off on this replica; the event store is "+
			"unavailable, so other replicas do not know yet; the gateway goes on trying, and trying again is safe")
	case errors.Is(err, fanout.ErrCutForgettable):
		return unavailable("cut-not-remembered", "Cut off, but not remembered", "the user is cut off on every replica that is "+
			"connected; the event store did not take note of it for replicas that start later; the gateway goes on trying, and trying again is safe")
	case errors.Is(err, broker.ErrTopicClosed):
		return newProblem(http.StatusConflict, "topic-closed", "Topic closed",
			"the topic has been closed and takes no more events")
	case errors.Is(err, broker.ErrTopicStopped):
		return newProblem(http.StatusConflict, "stopped", "Stopped",
			"somebody has asked for the topic to end; it takes nothing but its close, which may bring a last event")
	case errors.Is(err, broker.ErrFull):
		return unavailable("store-full", "Event store full", "the event store has no room; nothing was published")
	case errors.Is(err, fanout.ErrBusy):
		return unavailable("busy", "Busy", "others are reading as much of the history as may be read at a time; try again later")
	case errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrForeign):
		return storeRefuses()
	case errors.Is(err, broker.ErrNotSent), errors.Is(err, broker.ErrStopped):
		return unavailable("not-sent", "Event store unavailable",
			"the event store is unavailable; nothing was sent to it, so trying again is safe")
	case errors.Is(err, broker.ErrUnavailable):
		return unavailable("outcome-unknown", "Event store unavailable",
			"the event store did not answer; a publish may or may not have taken effect: "+
				"trying again is safe with the same key")
	case errors.Is(err, fanout.ErrLost):
		return newProblem(http.StatusGone, "events-lost", "Events lost",
			"events after the position that was asked for are no longer kept; begin anew, for example with since=last:100, and do not rely on what came before")
	case errors.Is(err, fanout.ErrCut):
		return forbidden("the streams of this user have been ended")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, "timeout", "Too slow", "body: it came too slowly")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("body: it ended early")
	case errors.As(err, &tooLong):
		return tooLarge("body: larger than %d bytes", tooLong.Limit)
	case errors.As(err, &unread):
		return invalid("body: it ended early, or its coding is malformed")
	case errors.Is(err, context.Canceled):
		return newProblem(http.StatusServiceUnavailable, "cancelled", "Cancelled", "the request was cancelled")
	}
	return newProblem(http.StatusInternalServerError, "internal", "Internal error",
		"the gateway made a mistake; its log says more")
}

// unpublished is what a problem of the event store means for a request that publishes nothing. Those can all be repeated.
func (p *problem) unpublished() *problem {
	switch p.slug {
	case "not-sent", "outcome-unknown":
		return unavailable("store-unavailable", "Event store unavailable", "the event store does not answer; trying again is safe")
	case "refused":
		refused := *p
		refused.Detail = refusedDetail
		return &refused
	}
	return p
}

// fail answers with the problem that err is. Only what a client cannot be told is logged.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if r.URL.Path != publishPath {
		p = p.unpublished()
	}
	if p.Status == http.StatusInternalServerError {
		a.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("err", err))
	}
	hurry(w, r)
	h := w.Header()
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

// answer writes value as the JSON body of a 200.
func answer(w http.ResponseWriter, value any) {
	writeJSON(w, http.StatusOK, "application/json", value)
}

// writeJSON does not escape for HTML: data is answered as it was published.
func writeJSON(w http.ResponseWriter, status int, contentType string, value any) {
	var body bytes.Buffer
	if err := encodeJSON(&body, value); err != nil { // only strings, numbers and checked raw messages are ever written
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	jsonHeaders(w, contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // an error: the client has gone
}

func jsonHeaders(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
}

// encodeJSON appends value as a line of JSON.
func encodeJSON(dst *bytes.Buffer, value any) error {
	encoder := json.NewEncoder(dst)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
