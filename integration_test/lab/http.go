package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// Get requests a URL and returns its status and body.
func Get(t testing.TB, url string) (int, []byte) {
	t.Helper()
	status, body, err := request(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// Post posts a body as curl -d does, and returns status, header and body of the answer.
func Post(t testing.TB, url, body string) (int, []byte) {
	t.Helper()
	status, answer, err := request(t.Context(), http.MethodPost, url, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

// Publish publishes one event to a topic and returns its id; data is marshalled.
func Publish(t testing.TB, base, topic string, data any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"topic": topic, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	id, err := TryPublish(t.Context(), base, body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A StatusError is an answer with another status than 200.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// TryPublish publishes body and returns the id that was acknowledged.
func TryPublish(ctx context.Context, base string, body []byte) (string, error) {
	status, answer, err := request(ctx, http.MethodPost, base+"/publish", body)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", &StatusError{status, string(answer)}
	}
	var result struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &result); err != nil || result.ID == "" {
		return "", fmt.Errorf("answer %q to publish has no id: %w", answer, err)
	}
	return result.ID, nil
}

// client is shared: its connections are kept, and none of its requests is ever tried twice.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

func request(ctx context.Context, method, url string, body []byte) (int, []byte, error) {
	var reader io.Reader
	if body != nil {
		// Not a *bytes.Reader: net/http would know how to send it again on a fresh connection.
		reader = io.NopCloser(bytes.NewReader(body))
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return 0, nil, err
	}
	req.ContentLength = int64(len(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl -d
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

// CloseIdle closes the idle connections of all requests, for leak checks.
func CloseIdle() { client.CloseIdleConnections() }
