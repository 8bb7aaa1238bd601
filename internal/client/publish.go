package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A Result is what has become of one event.
type Result struct {
	IDs []string // of the event, or of one for each of its topics or users
	Err error    // a *Problem where the gateway has refused it
}

// An answered line is what the gateway says to one event.
type answered struct {
	ID      string     `json:"id"`
	Results []answered `json:"results"`
	Stop    string     `json:"stop"` // no answer: a topic that has been stopped
	Problem
}

func (a answered) result() Result {
	if a.Results == nil {
		a.Results = []answered{a}
	}
	var result Result
	for _, one := range a.Results {
		switch {
		case one.ID != "":
			result.IDs = append(result.IDs, one.ID)
		case result.Err == nil || one.temporary(): // what may yet be is asked for again, with all the rest
			result.Err = &one.Problem
		}
	}
	return result
}

// Publish publishes events, each a JSON object without line breaks as POST /publish takes it, and returns a result for each. Each
// must have a key of its own: what could not be published, or may have been, is sent again for as long as the client is
// patient. An event that had to be sent again may come after later ones of the same call. The error is that of ctx.
func (c *Client) Publish(ctx context.Context, events [][]byte) ([]Result, error) {
	results := make([]Result, len(events))
	open := make([]int, len(events)) // those without a final result
	for i := range open {
		open[i] = i
	}
	var deadline time.Time
	for failures := 0; ; failures++ {
		open = c.publishOnce(ctx, events, open, results)
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		if len(open) == 0 {
			return results, nil
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(c.opts.Patience)
		}
		if time.Now().After(deadline) {
			return results, nil
		}
		c.opts.Notice(fmt.Sprintf("%v; trying again", results[open[0]].Err))
		if !waitFor(ctx, backoff(failures)) {
			return results, context.Cause(ctx)
		}
	}
}

// publishOnce sends the open events in one request, fills in their results, and returns which are still open.
func (c *Client) publishOnce(ctx context.Context, events [][]byte, open []int, results []Result) []int {
	var body bytes.Buffer
	for _, i := range open {
		body.Write(events[i])
		body.WriteByte('\n')
	}
	answers, err := c.sendLines(ctx, &body, len(open))
	var left []int
	for n, i := range open {
		switch {
		case n < len(answers):
			results[i] = answers[n]
		default:
			results[i] = Result{Err: err}
		}
		if results[i].Err != nil && IsTemporary(results[i].Err) {
			left = append(left, i)
		}
	}
	return left
}

// sendLines sends NDJSON and returns its answers, at most n: as many as have come before the error.
func (c *Client) sendLines(ctx context.Context, body io.Reader, n int) ([]Result, error) {
	response, err := c.do(ctx, http.MethodPost, "/publish", nil, body, http.Header{"Content-Type": {"application/x-ndjson"}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var results []Result
	for lines := bufio.NewReader(response.Body); len(results) < n; {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return results, fmt.Errorf("%w before all events were answered", errCutShort)
		}
		var answer answered
		if err := json.Unmarshal(text, &answer); err != nil {
			return results, fmt.Errorf("what answers at %s is no gateway: %w", c.base.Redacted(), err)
		}
		if answer.Stop == "" { // which the next event's answer says as well
			results = append(results, answer.result())
		}
	}
	return results, nil
}
