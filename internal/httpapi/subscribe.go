package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/limit"
	"sse-gateway/internal/sse"
	"sse-gateway/internal/stream"
)

const (
	// retryLimited is the reconnection time of who has too many streams: trying soon would not help.
	retryLimited = 30 * time.Second
	// reloadTime is how long a stream at the limit waits for the one that it replaces to end.
	reloadTime = 500 * time.Millisecond
	// holdTime is how long a refusal is held open at least, and at most twice, and mostHeld how many are at a time; others end at once.
	holdTime = time.Second
	mostHeld = 4096
	// maxCursorBytes is how much of a last event ID is looked at; nothing longer is one of ours.
	maxCursorBytes = 64 << 10
)

// A subscription is what a stream asks its source for, with the stream's place among the limits.
type subscription struct {
	*fanout.Subscription
	lease limit.Lease
	left  atomic.Bool
}

// Leave takes the subscription out of the hub and gives its place back, once.
func (s *subscription) Leave() {
	if s.left.CompareAndSwap(false, true) {
		s.Subscription.Leave()
		s.lease.Release()
	}
}

// subscribe opens a stream. A browser's EventSource gives up for good on any status but 200, so whatever may be better the
// next time is told as a stream that ends at once; only a refusal that can never succeed is a problem. Who has asked for events only is
// told everything by a status.
func (a *API) subscribe(w http.ResponseWriter, r *http.Request) error {
	who, err := a.identify(r)
	if errors.Is(err, auth.ErrKeysUnavailable) {
		return a.later(w, r, a.opts.Retry, refusedKeys, "the keys that tokens are checked with are unavailable")
	}
	if err != nil {
		return err
	}
	query, err := queryOf(r, subscribeParameters())
	if err != nil {
		return err
	}
	req, err := a.joinRequest(r, query, who)
	if err != nil {
		return err
	}
	switch {
	case a.isDraining():
		w.Header().Set("Connection", "close") // the next request is for another replica
		return a.later(w, r, a.opts.Retry, refusedDrain, "this replica is about to stop")
	case a.hub.Ready() != nil:
		return a.later(w, r, a.opts.Retry, refusedStore, "the event store is unavailable")
	case r.Method == http.MethodHead:
		streamHeaders(w)
		return nil
	}
	lease, err := a.leases.AcquireSoon(r.Context(), reloadTime, req.Owner, limit.ClientIP(r, a.opts.TrustedProxies))
	if err != nil {
		return a.later(w, r, retryLimited, refusedLimit, err.Error())
	}
	return a.join(w, r, req, who, lease)
}

// join brings the subscriber into the hub and serves the stream until it has ended, or the engine has taken it over.
func (a *API) join(w http.ResponseWriter, r *http.Request, req fanout.JoinRequest, who auth.Identity, lease limit.Lease) error {
	untimed(w)
	joined, err := a.hub.Join(r.Context(), req)
	if err != nil {
		lease.Release()
		return a.notJoined(w, r, err)
	}
	sub := &subscription{Subscription: joined, lease: lease}
	if sub.Closed() {
		sub.Leave()
		return a.nothingToSend(w, r, nil)
	}
	if err := a.stillKnown(r); err != nil { // the user may have been cut off just before the join
		sub.Leave()
		return err
	}
	if req.EventsOnly {
		if nothing, err := sub.Look(r.Context()); nothing || err != nil {
			sub.Leave()
			return a.nothingToSend(w, r, err)
		}
	}
	streamHeaders(w)
	params := a.params(req, who, sub)
	st, err := a.streams.Open(w, r, sub, params)
	if err != nil {
		sub.Leave()
		if errors.Is(err, stream.ErrClosed) {
			return a.later(w, r, a.opts.Retry, refusedDrain, "this replica is about to stop")
		}
		a.log.LogAttrs(r.Context(), slog.LevelDebug, "stream not opened", slog.Any("err", err))
		return nil
	}
	if err := sub.Deliver(r.Context(), st); err != nil {
		a.log.LogAttrs(r.Context(), slog.LevelDebug, "stream not delivered", slog.Any("err", err))
		st.End(stream.ReasonError)
	}
	serve(st)
	return nil
}

// params are those of the stream: how it begins, and when it ends.
func (a *API) params(req fanout.JoinRequest, who auth.Identity, sub *subscription) stream.Params {
	now := a.clock()
	params := expiry(who.Expires, now)
	if req.EventsOnly {
		// The first event goes on in the block that this begins: some clients take a block without data for an event.
		params.First, params.Notice = sse.AppendRetry(nil, spread(a.opts.Retry)), nil
	} else {
		params.First = a.ready(req, sub.StartID())
	}
	if params.Notice != nil && params.NoticeAt.Sub(now) < toldAtOnce {
		params.First, params.Notice = append(params.First, params.Notice.Bytes()...), nil
	}
	return params
}

// nothingToSend answers that there is nothing to wait for, or with err why nobody knows.
func (a *API) nothingToSend(w http.ResponseWriter, r *http.Request, err error) error {
	switch {
	case errors.Is(err, fanout.ErrLost):
		return err
	case errors.Is(err, fanout.ErrBusy):
		return err
	case err != nil:
		return a.notJoined(w, r, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serve writes a stream that its handler has to write.
func serve(st *stream.Stream) {
	if st.Serve() != nil {
		panic(http.ErrAbortHandler) // net/http knows no other way to end a response so that it does not look whole
	}
}

// notJoined tells a failed join from a refused one.
func (a *API) notJoined(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, fanout.ErrCut) || r.Context().Err() != nil {
		return err
	}
	if !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrStopped) {
		a.log.LogAttrs(r.Context(), slog.LevelWarn, "join failed", slog.Any("err", err))
	}
	return a.later(w, r, a.opts.Retry, refusedStore, "the event store is unavailable")
}

// joinRequest reads and checks what the stream is to get, and whether the subscriber may have it.
func (a *API) joinRequest(r *http.Request, query url.Values, who auth.Identity) (fanout.JoinRequest, error) {
	req := fanout.JoinRequest{User: query.Get("user"), Owner: who.Subject, Client: a.client(r, who)}
	var err error
	if req.Raw, err = flag(query, "raw", false); err != nil {
		return req, err
	}
	control, err := flag(query, "control", true)
	if err != nil {
		return req, err
	}
	req.EventsOnly = !control
	if req.Topics, err = a.topicsOf(query); err != nil {
		return req, err
	}
	if len(req.Topics) == 0 && req.User == "" {
		return req, invalid("topics: missing, and no user either; for example /subscribe?topics=chatgpt|robot")
	}
	position := lastEventIDOf(r)
	if len(position) > maxCursorBytes {
		position = "-" // as unreadable as it was
	}
	if req.Start, err = fanout.ParseStart(position, query.Get("since"), time.Now()); err != nil {
		return req, invalid("since: %s is none of now, all, last:10, an RFC 3339 time, a duration such as 10m, or an event id",
			shorten(query.Get("since")))
	}
	if req.User != "" {
		if err := checkUser("user", req.User); err != nil {
			return req, err
		}
		if err := a.maySubscribeInbox(who, req.User); err != nil {
			return req, err
		}
	}
	for _, topic := range req.Topics {
		if err := a.maySubscribe(who, topic); err != nil {
			return req, err
		}
	}
	if who.Anonymous() {
		req.Owner = req.User
	}
	return req, nil
}

// topicsOf reads the topics of a stream: "topics" split at "|", and each "topic" as it is.
func (a *API) topicsOf(query url.Values) ([]string, error) {
	var topics []string
	add := func(field, topic string) error {
		if err := checkTopic(field, topic); err != nil {
			return err
		}
		if !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
		if len(topics) > a.opts.MaxTopics {
			return invalid("%s: more than the %d topics that one stream may have", field, a.opts.MaxTopics)
		}
		return nil
	}
	for _, list := range query["topics"] {
		if list == "" {
			continue // as in topics=&user=jack, which a form sends
		}
		for topic := range strings.SplitSeq(list, "|") {
			if err := add("topics", topic); err != nil {
				return nil, err
			}
		}
	}
	for _, topic := range query["topic"] {
		if err := add("topic", topic); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

// ready is the first block of a stream: it fires the browser's open event, makes proxies pass the head on, and gives a
// position to resume from before the first event has come.
func (a *API) ready(req fanout.JoinRequest, id string) []byte {
	data, _ := json.Marshal(struct { // strings always marshal
		Topics []string `json:"topics"`
		User   string   `json:"user,omitempty"`
		// In ms: readers that see comments can tell a silent stream by it.
		Heartbeat int64 `json:"heartbeat,omitempty"`
	}{append([]string{}, req.Topics...), req.User, a.opts.Heartbeat.Milliseconds()})
	block := sse.AppendRetry(nil, spread(a.opts.Retry))
	return sse.NewFrame(sse.AppendBlock(block, sse.TypeReady, 0, data), id).Bytes()
}

// later answers with a stream that says why there is none, and when to come back. It is held open for a moment and then breaks off:
// many clients stop for good at an end that looks whole, and some come back at once, whatever retry says. reason is a
// metric's label.
func (a *API) later(w http.ResponseWriter, r *http.Request, retry time.Duration, reason, why string) error {
	a.metrics.refused.WithLabelValues(reason).Inc()
	if control, err := flag(r.URL.Query(), "control", true); err == nil && !control {
		return notNow(retry, reason, why)
	}
	streamHeaders(w)
	if r.Method == http.MethodHead {
		return nil
	}
	untimed(w)
	first := sse.AppendRetry([]byte(": not now: "+why+"\n"), spread(retry))
	params := stream.Params{First: first, Aside: true, Expiry: time.Now()}
	if a.held.Add(1) <= mostHeld {
		params.Expiry = params.Expiry.Add(holdTime + rand.N(holdTime))
	}
	st, err := a.streams.Open(w, r, refusal{&a.held}, params)
	if err == nil {
		serve(st)
		return nil
	}
	a.held.Add(-1)
	if errors.Is(err, stream.ErrClosed) {
		_, _ = w.Write(first) // an error: the client has gone
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

// notNow is what later answers to who has asked for events only.
func notNow(retry time.Duration, reason, why string) error {
	p := unavailable("not-now", "Not now", why)
	if reason == refusedLimit {
		p = newProblem(http.StatusTooManyRequests, "too-many-streams", "Too many streams", "%s", why)
	}
	p.retryAfter = time.Duration(spread(retry)) * time.Millisecond
	return p
}

// A refusal is the source of a stream that there is none of.
type refusal struct{ held *atomic.Int32 }

// Beat pushes nothing.
func (refusal) Beat() {}

// Leave gives the place back.
func (r refusal) Leave() { r.held.Add(-1) }

func streamHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// spread draws a reconnection time in milliseconds from the middle half to one and a half of d, so that those who
// were cut off together do not come back together.
func spread(d time.Duration) int {
	ms := d.Milliseconds()
	return int(max(1, ms/2+rand.Int64N(ms+1)))
}

const (
	// noticeAhead is how long before the end of a stream its page is told to renew its token.
	noticeAhead = 30 * time.Second
	// toldAtOnce is for the page of a token that has so little left that the stream might be cut before it had been told: that is
	// told with the head.
	toldAtOnce = time.Second
	// endAhead is how long before the token's exp its streams have ended, at the most.
	endAhead = 5 * time.Second
)

// expiry says when a stream ends for its token: a little before exp, spread, and never after. What lives shorter than
// a minute is told at half of its life.
func expiry(exp, now time.Time) stream.Params {
	if exp.IsZero() {
		return stream.Params{}
	}
	left := exp.Sub(now)
	ahead := max(0, min(endAhead, left/4)) // it may have expired since it was looked at
	end := exp.Add(-ahead/2 - rand.N(ahead/2+1))
	data, _ := json.Marshal(struct { // a string always marshals
		Expires string `json:"expires"`
	}{exp.UTC().Format(time.RFC3339)})
	return stream.Params{
		Expiry:   end,
		Deadline: exp,
		Notice:   sse.NewFrame(sse.AppendBlock(nil, sse.TypeExpiring, 0, data), ""),
		NoticeAt: end.Add(-min(noticeAhead, left/2)),
	}
}
