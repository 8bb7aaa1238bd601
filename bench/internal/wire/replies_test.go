package wire

import (
	"errors"
	"slices"
	"testing"
)

func replies(t *testing.T, r *Replies, response string, n int) (accepted []bool, err error) {
	t.Helper()
	for piece := range slices.Chunk([]byte(response), n) {
		r.Feed(piece)
		for {
			var ok bool
			more, err := r.Next(&ok)
			if err != nil {
				return accepted, err
			}
			if !more {
				break
			}
			accepted = append(accepted, ok)
		}
	}
	return accepted, nil
}

func TestReplies_OnePerRequest(t *testing.T) {
	const response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" +
		"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" +
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n" +
		"HTTP/1.1 204 No Content\r\n\r\n"
	want := []bool{true, true, false, true}
	for n := 1; n <= len(response); n++ {
		got, err := replies(t, new(Replies), response, n)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d: got %v %v, want %v", n, got, err, want)
		}
	}
}

func TestReplies_OnePerLine(t *testing.T) {
	const response = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"d\r\n{\"id\":\"1-0\"}\n\r\n18\r\n{\"status\":503}\n{\"id\":\"1-\r\n4\r\n1\"}\n\r\n0\r\n\r\n"
	want := []bool{true, false, true}
	for n := 1; n <= len(response); n++ {
		got, err := replies(t, &Replies{Lines: true}, response, n)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d: got %v %v, want %v", n, got, err, want)
		}
	}
}

func TestReplies_Malformed(t *testing.T) {
	for _, response := range []string{"HTTP/1.1 200 OK\r\n\r\n", "nonsense\r\n\r\n"} {
		if _, err := replies(t, new(Replies), response, 1000); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", response, err)
		}
	}
	if _, err := replies(t, &Replies{Lines: true}, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 1000); !errors.Is(err, ErrMalformed) {
		t.Errorf("refused streaming request: got %v, want ErrMalformed", err)
	}
}
