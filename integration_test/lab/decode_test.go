package lab

import (
	"reflect"
	"testing"
)

func TestDecoder_FollowsTheStandard(t *testing.T) {
	tests := []struct {
		name, stream string
		want         []Event
	}{
		{
			"LF, CR and CRLF", "data: a\rid: 1\r\rdata: b\r\n\r\ndata: c\n\n",
			[]Event{{Type: "message", Data: "a", ID: "1"}, {Type: "message", Data: "b", ID: "1"}, {Type: "message", Data: "c", ID: "1"}},
		},
		{"byte order mark", "\ufeffdata:\n\n", []Event{{Type: "message"}}},
		{"lines and one space", "event: x\ndata:  a\ndata\ndata:b\nretry: 5\n\n", []Event{{Type: "x", Data: " a\n\nb", Retry: 5}}},
		{
			"comment, position, retry", ": ping\nid: 4\n\nretry: 7\n\n",
			[]Event{{Kind: Comment, Data: "ping"}, {Kind: IDOnly, ID: "4"}, {Kind: RetryOnly, ID: "4", Retry: 7}},
		},
		{
			"a NUL spoils an id, a sign a retry", "id: 1\n\nid: 2\x00\nretry: +5\ndata: a\n\n",
			[]Event{{Kind: IDOnly, ID: "1"}, {Type: "message", Data: "a", ID: "1"}},
		},
		{"an unfinished block is nothing", "data: a\nid: 3\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, len(tt.stream)} {
				var got []Event
				d := decoder{emit: func(e Event) { got = append(got, e) }}
				for rest := []byte(tt.stream); len(rest) > 0; {
					n := min(size, len(rest))
					d.feed(rest[:n])
					rest = rest[n:]
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("in pieces of %d: got %+v, want %+v", size, got, tt.want)
				}
			}
		})
	}
}
