// Package client talks to a gateway over HTTP: it publishes so that a retry is safe, and follows topics through lost
// connections. The gateway's own commands are made of it.
package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// headTime bounds the wait for the head of an answer. A gateway sends that of a stream at once.
	headTime = 30 * time.Second
	// maxProblem is how much of a refusal is read.
	maxProblem = 64 << 10
	// firstRetry and lastRetry are the waits after failures: each is twice the one before. A stream tells its own.
	firstRetry, lastRetry = 500 * time.Millisecond, 15 * time.Second
)

// ErrUnreachable is the error of a request that nothing has answered.
var ErrUnreachable = errors.New("nothing answers")

// A Problem is a refusal by the gateway, as RFC 9457 has it, or by a proxy before it, which gives the status only.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, cmp.Or(p.Title, http.StatusText(p.Status)))
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

func (p *Problem) temporary() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Options say which gateway is meant, and how patient to be. The zero value of a field means its default in brackets.
type Options struct {
	URL      string                 // of any replica, or of what balances them
	Token    func() (string, error) // asked before each request, as a token may be renewed meanwhile [none]
	Patience time.Duration          // how long a publish is tried again after it has failed first [30s]
	Idle     time.Duration          // a connection that has been silent for so long is given up [1m]
	Notice   func(text string)      // told of what goes wrong and is tried again [nobody]
}

// A Client talks to one gateway. It may be used by several goroutines.
type Client struct {
	opts Options
	base *url.URL
	http *http.Client
}

// New returns a client of the gateway at opts.URL.
func New(opts Options) (*Client, error) {
	base, err := url.Parse(opts.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil {
		return nil, errors.New("the URL of a gateway is like http://localhost:8000, without a user and password")
	}
	opts.Patience = cmp.Or(opts.Patience, 30*time.Second)
	opts.Idle = cmp.Or(opts.Idle, time.Minute)
	if opts.Token == nil {
		opts.Token = func() (string, error) { return "", nil }
	}
	if opts.Notice == nil {
		opts.Notice = func(string) {}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		ResponseHeaderTimeout: headTime,
		IdleConnTimeout:       time.Minute,
		DisableCompression:    true, // it would hold events back in some proxies
	}
	return &Client{opts: opts, base: base, http: &http.Client{Transport: transport}}, nil
}

// Close lets go of connections that are kept for later.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request, and returns its answer if that is a success. An answer is cut off when it is silent for too long.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader, header http.Header) (*http.Response, error) {
	watchedCtx, cancel := context.WithCancelCause(ctx)
	address := c.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(watchedCtx, method, address.String(), body)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	maps.Copy(request.Header, header)
	token, err := c.opts.Token()
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		cancel(nil)
		if ctx.Err() == nil {
			err = fmt.Errorf("%w at %s: %w", ErrUnreachable, c.base.Redacted(), cause(err))
		}
		return nil, err
	}
	response.Body = newWatched(response.Body, c.opts.Idle, cancel)
	if response.StatusCode >= http.StatusMultipleChoices {
		defer func() { _ = response.Body.Close() }()
		return nil, readProblem(response)
	}
	return response, nil
}

// cause takes off what net/http says of the method and the URL, which may hold the names of topics and users.
func cause(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}

func readProblem(response *http.Response) error {
	problem := &Problem{}
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if strings.TrimSpace(media) == "application/problem+json" {
		_ = json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(problem) // the status says the most of it
	}
	problem.Status = response.StatusCode
	return problem
}

// backoff is how long to wait after the n-th failure in a row.
func backoff(n int) time.Duration {
	most := min(lastRetry, firstRetry<<min(n, 10))
	return most/2 + rand.N(most/2+1)
}

// waitFor reports false when ctx is done first.
func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// IsTemporary tells whether the same request may succeed later.
func IsTemporary(err error) bool {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem.temporary()
	}
	return errors.Is(err, ErrUnreachable) || errors.Is(err, errCutShort)
}
