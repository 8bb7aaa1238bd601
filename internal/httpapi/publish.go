package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/limit"
)

// publishChunk is how many events go to the hub at once.
const publishChunk = 256

type idAnswer struct {
	ID string `json:"id"`
}

// publish takes one event, an array of them, or a stream of lines. Whoever sends may close the connection without
// waiting for the answer; what has been read whole is published all the same.
func (a *API) publish(w http.ResponseWriter, r *http.Request) error {
	who, err := a.identify(r)
	if err != nil {
		return err
	}
	key := r.Header.Get("Idempotency-Key")
	if err := checkLine("Idempotency-Key", key); err != nil {
		return err
	}
	if !who.MayPublishAny() {
		return forbidden("token: it does not allow to publish to anything")
	}
	if err := checkEncoding(w, r); err != nil {
		a.metrics.reject(problemOf(err), 1)
		return err
	}
	errorsOnly, err := wantsErrorsOnly(r)
	if err != nil {
		return err
	}
	from := sender{who: who, address: limit.Network(limit.ClientIP(r, a.opts.TrustedProxies)).String()}
	if isLines(r) {
		return a.publishLines(w, r, from, key, errorsOnly)
	}
	items, array, err := a.readItems(w, r)
	if err != nil {
		a.metrics.reject(problemOf(err), 1)
		return err
	}
	for i := range items {
		items[i].inheritKey(key, array, i)
	}
	if wait := a.rate.Take(from.name(), countTargets(items)); wait > 0 {
		tooMany := tooManyEvents(wait)
		a.metrics.reject(tooMany, countTargets(items))
		return tooMany
	}
	results := a.publishItems(context.WithoutCancel(r.Context()), from, items)
	return a.answerItems(w, items, array, results)
}

// A sender is who publishes.
type sender struct {
	who     auth.Identity
	address string
}

// name is what the sender's rate is counted under.
func (s sender) name() string {
	if s.who.Subject != "" {
		return "sub " + s.who.Subject
	}
	return "ip " + s.address
}

// isLines tells whether the body is NDJSON. No other content type matters: curl -d sends that of a form.
func isLines(r *http.Request) bool {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return media == "application/x-ndjson" || media == "application/ndjson" || media == "application/jsonl"
}

// checkEncoding refuses a compressed body, which would be taken for JSON that is none.
func checkEncoding(w http.ResponseWriter, r *http.Request) error {
	coding := r.Header.Get("Content-Encoding")
	if coding == "" || strings.EqualFold(coding, "identity") {
		return nil
	}
	w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
	return newProblem(http.StatusUnsupportedMediaType, "unsupported-encoding", "Unsupported encoding",
		"Content-Encoding: %s is not taken; send the body as it is, without compression", shorten(coding))
}

// wantsErrorsOnly tells whether only the lines that failed are to be answered.
func wantsErrorsOnly(r *http.Request) (bool, error) {
	query, err := queryOf(r, publishParameters())
	if err != nil || !query.Has("answers") {
		return false, err
	}
	answers := query.Get("answers")
	switch {
	case answers != "all" && answers != "errors":
		return false, invalid("answers: %s is none of all and errors", shorten(answers))
	case !isLines(r):
		return false, invalid("answers: only NDJSON is answered line by line; its Content-Type is application/x-ndjson")
	}
	return answers == "errors", nil
}

// readItems reads the whole body and parses it.
func (a *API) readItems(w http.ResponseWriter, r *http.Request) ([]item, bool, error) {
	body, err := a.readBody(w, r)
	if err != nil {
		return nil, false, err
	}
	return a.parse(body)
}

// parse parses what one request, or one line, publishes.
func (a *API) parse(body []byte) (items []item, array bool, err error) {
	if items, array, err = parseBody(body, a.opts.MaxEventBytes); err == nil {
		err = checkSpread(items, array, maxSpread*a.opts.MaxBodyBytes)
	}
	return items, array, err
}

// readBody reads the whole body.
func (a *API) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(a.opts.MaxBodyBytes)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // rather than reading what is not wanted
		return nil, &http.MaxBytesError{Limit: limit}
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), 64<<10)) + bytes.MinRead) // what a header promises is not trusted further
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return nil, &bodyError{err}
	}
	return body.Bytes(), nil
}

// inheritKey gives an item without a key that of the request; in an array, or in lines, with its index, so that the
// items of a repeated request meet their first results.
func (it *item) inheritKey(key string, many bool, index int) {
	if it.key != "" || key == "" {
		return
	}
	it.key = key
	if many {
		it.key += "#" + strconv.Itoa(index)
	}
}

func countTargets(items []item) int {
	n := 0
	for _, it := range items {
		n += len(it.targets)
	}
	return n
}

// publishItems publishes an event for each target of each item, in order, and returns as many results. What the sender
// may not publish has a result that says so, and keeps nothing else from being published.
func (a *API) publishItems(ctx context.Context, from sender, items []item) []broker.Result {
	n := countTargets(items)
	results := make([]broker.Result, 0, n)
	pubs := make([]fanout.Publication, 0, n)
	places := make([]int, 0, n) // of each publication among the results
	for _, it := range items {
		for _, to := range it.targets {
			err := a.mayPublish(from.who, to)
			if err == nil {
				pubs = append(pubs, fanout.Publication{
					Topic: to.String(), Type: it.eventType, Retry: it.retry, Data: it.data, From: from.who.Subject,
					Key: it.key, Publisher: from.who.Publisher(),
				})
				places = append(places, len(results))
			}
			results = append(results, broker.Result{Err: err})
		}
	}
	at := 0
	for chunk := range slices.Chunk(pubs, publishChunk) {
		got := a.publisher.Publish(ctx, chunk)
		for _, result := range got {
			results[places[at]] = result
			at++
		}
		if allUnavailable(got) {
			break
		}
	}
	for ; at < len(places); at++ { // not even tried: one time-out is enough
		results[places[at]].Err = errors.Join(broker.ErrUnavailable, broker.ErrNotSent)
	}
	a.countResults(results)
	return results
}

func allUnavailable(results []broker.Result) bool {
	return !slices.ContainsFunc(results, func(r broker.Result) bool { return !errors.Is(r.Err, broker.ErrUnavailable) })
}

func (a *API) countResults(results []broker.Result) {
	published := 0
	for _, result := range results {
		if result.Err == nil {
			published++
			continue
		}
		a.metrics.reject(problemOf(result.Err), 1)
	}
	a.metrics.published.Add(float64(published))
}

// answerItems answers a request that has been published: with the id of its one event, or with a result for each. When
// all have failed for want of the event store, the answer is that problem itself.
func (a *API) answerItems(w http.ResponseWriter, items []item, array bool, results []broker.Result) error {
	one := !array && !items[0].broadcast
	if one && results[0].Err != nil {
		return results[0].Err
	}
	if err := allFailed(results); err != nil {
		return err
	}
	if one {
		answer(w, idAnswer{ID: results[0].ID.String()})
		return nil
	}
	body := append(appendResults(nil, results), '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // an error: the client has gone
	return nil
}

// allFailed is the error of a request of which nothing could be published for faults of the gateway's: the one that leaves
// the most open.
func allFailed(results []broker.Result) error {
	worst := results[0].Err
	for _, result := range results {
		if result.Err == nil || problemOf(result.Err).Status < http.StatusInternalServerError {
			return nil
		}
		if !errors.Is(result.Err, broker.ErrNotSent) {
			worst = result.Err
		}
	}
	return worst
}

// appendResults appends {"results":[…]}.
func appendResults(dst []byte, results []broker.Result) []byte {
	dst = append(dst, `{"results":[`...)
	for i, result := range results {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendResult(dst, result)
	}
	return append(dst, "]}"...)
}

// appendResult appends {"id":…}, or the problem, as it would be the whole answer.
func appendResult(dst []byte, result broker.Result) []byte {
	if result.Err == nil {
		dst = append(dst, `{"id":"`...)
		return append(result.ID.Append(dst), `"}`...)
	}
	text, _ := json.Marshal(problemOf(result.Err)) // strings and numbers always marshal
	return append(dst, text...)
}

// pace waits until the sender may publish n more events, or done.
func (a *API) pace(ctx context.Context, from sender, n int) error {
	for {
		wait := a.rate.Take(from.name(), n)
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
