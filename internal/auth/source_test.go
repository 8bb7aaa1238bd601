package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func tokenRequest(authorization, cookies []string, query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/subscribe", http.NoBody)
	r.URL.RawQuery = query
	for _, line := range authorization {
		r.Header.Add("Authorization", line)
	}
	for _, line := range cookies {
		r.Header.Add("Cookie", line)
	}
	return r
}

func TestTokenFromRequest(t *testing.T) {
	const c = DefaultCookie + "="
	for _, tt := range []struct {
		name          string
		authorization []string
		cookies       []string
		query         string
		want          string
		from          Source
		err           error
	}{
		{name: "nothing", err: ErrNoToken},
		{name: "header", authorization: []string{"Bearer a"}, want: "a", from: SourceBearer},
		{name: "scheme in small letters", authorization: []string{"bearer a"}, want: "a", from: SourceBearer},
		{name: "another scheme", authorization: []string{"Basic amFjazp4"}, err: ErrNoToken},
		{name: "another scheme and a cookie", authorization: []string{"Basic x"}, cookies: []string{c + "a"}, want: "a", from: SourceCookie},
		{name: "header without a token", authorization: []string{"Bearer "}, err: ErrBadToken},
		{name: "two words", authorization: []string{"Bearer a b"}, err: ErrBadToken},
		{name: "cookie", cookies: []string{"x=1; " + c + "a"}, want: "a", from: SourceCookie},
		{name: "another cookie", cookies: []string{"gateway_tokens=a"}, err: ErrNoToken},
		{name: "emptied cookie", cookies: []string{c}, err: ErrNoToken},
		{name: "emptied cookie and query", cookies: []string{c}, query: "access_token=a", want: "a", from: SourceQuery},
		{name: "query", query: "topics=t&access_token=a", want: "a", from: SourceQuery},
		{name: "query after a malformed pair", query: "x=%zz&access_token=a", want: "a", from: SourceQuery},
		{name: "empty query", query: "access_token=", err: ErrNoToken},
		{name: "header before cookie", authorization: []string{"Bearer a"}, cookies: []string{c + "b"}, want: "a", from: SourceBearer},
		{name: "the same everywhere", authorization: []string{"Bearer a"}, cookies: []string{c + "a"}, query: "access_token=a", want: "a", from: SourceBearer},
		{name: "the same in cookie and query", cookies: []string{c + "a"}, query: "access_token=a", want: "a", from: SourceCookie},
		{name: "header and another query", authorization: []string{"Bearer a"}, query: "access_token=b", err: ErrManyTokens},
		{name: "cookie and another query", cookies: []string{c + "a"}, query: "access_token=b", err: ErrManyTokens},
		{name: "two headers", authorization: []string{"Bearer a", "Bearer b"}, err: ErrManyTokens},
		{name: "two cookies", cookies: []string{c + "a; " + c + "b"}, err: ErrManyTokens},
		{name: "two cookie lines", cookies: []string{c + "a", c + "b"}, err: ErrManyTokens},
		{name: "two in the query", query: "access_token=a&access%5Ftoken=b", err: ErrManyTokens},
		{name: "16 KiB", authorization: []string{"Bearer " + strings.Repeat("a", maxToken)}, want: strings.Repeat("a", maxToken), from: SourceBearer},
		{name: "more than 16 KiB", authorization: []string{"Bearer " + strings.Repeat("a", maxToken+1)}, err: ErrBadToken},
		{name: "1 MB", query: "access_token=" + strings.Repeat("a", 1<<20), err: ErrBadToken},
		{name: "line break", query: "access_token=a%0Ab", err: ErrBadToken},
		{name: "NUL", query: "access_token=a%00", err: ErrBadToken},
		{name: "padding", query: "access_token=a.b.c%3D", err: ErrBadToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, from, err := tokenFromRequest(tokenRequest(tt.authorization, tt.cookies, tt.query), DefaultCookie)
			if tt.err != nil {
				if !errors.Is(err, tt.err) {
					t.Errorf("got error %v, want %v", err, tt.err)
				}
				return
			}
			if err != nil || token != tt.want || from != tt.from {
				t.Errorf("got %.20q from %d, error %v, want %.20q from %d", token, from, err, tt.want, tt.from)
			}
		})
	}
}

func FuzzTokenFromRequest(f *testing.F) {
	f.Add("Bearer a.b.c", "", "")
	f.Add("", "gateway_token=a.b.c; gateway_token=a.b.d", "")
	f.Add("Basic x", "gateway_token=\"a\"", "access_token=a&access_token=%61")
	f.Add("bearer\t a", ";;=;gateway_token", "access_token=%zz;access_token=b")
	f.Add("Bearer "+strings.Repeat("x", maxToken+1), "", "")
	j, err := NewJWT(f.Context(), JWTOptions{Key: testSecret})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, cookie, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{}}
		r.Header.Add("Authorization", authorization)
		r.Header.Add("Cookie", cookie)
		token, from, err := tokenFromRequest(r, DefaultCookie)
		if err == nil {
			if token == "" || len(token) > maxToken || from == SourceNone || checkToken(token) != nil {
				t.Errorf("got %q from %d", token, from)
			}
			if everywhere := authorization + cookie; from != SourceQuery && !strings.Contains(everywhere, token) {
				t.Errorf("token %q from %d is nowhere in it", token, from)
			}
		}
		if id, err := j.Authenticate(r); err == nil {
			t.Errorf("authenticated as %+v", id)
		} else if len(token) > 20 && strings.Contains(err.Error(), token) {
			t.Errorf("error %q shows the token", err)
		}
	})
}
