package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// maxToken is the size of the largest token that is looked at.
const maxToken = 16 << 10

// tokenFromRequest finds the request's token: in the Authorization header, in the cookie, in the query, in this order.
//
// A client must not send a token in more than one way (RFC 6750, section 2). When it does and the tokens differ,
// taking one would let whoever can add the other – a link with access_token, a cookie set by a sibling domain – decide
// who the request comes from, so it is refused. Only a cookie next to a header is passed over: a browser adds it on
// its own, and nobody but the page itself can set the header.
func tokenFromRequest(r *http.Request, cookie string) (token string, from Source, err error) {
	header, err := bearer(r.Header)
	if err != nil {
		return "", SourceNone, err
	}
	query, err := single(queryTokens(r.URL))
	if err != nil {
		return "", SourceNone, err
	}
	if header != "" {
		if query != "" && query != header {
			return "", SourceNone, ErrManyTokens
		}
		return header, SourceBearer, checkToken(header)
	}
	var cookies []string
	for _, c := range r.CookiesNamed(cookie) {
		cookies = append(cookies, c.Value)
	}
	kept, err := single(cookies)
	switch {
	case err != nil:
		return "", SourceNone, err
	case kept != "" && query != "" && kept != query:
		return "", SourceNone, ErrManyTokens
	case kept != "":
		return kept, SourceCookie, checkToken(kept)
	case query != "":
		return query, SourceQuery, checkToken(query)
	}
	return "", SourceNone, ErrNoToken
}

// bearer returns the token of the Authorization header. Other schemes are not ours: a proxy in front may use them.
func bearer(h http.Header) (string, error) {
	var tokens []string
	for _, line := range h.Values("Authorization") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		token := strings.TrimSpace(rest)
		if token == "" {
			return "", refuse("the Authorization header holds no token")
		}
		tokens = append(tokens, token)
	}
	return single(tokens)
}

// queryTokens returns the values of access_token. What is malformed elsewhere in the query is for others to refuse.
func queryTokens(u *url.URL) []string {
	if u == nil || u.RawQuery == "" {
		return nil
	}
	return u.Query()["access_token"]
}

// single returns the one token there is, or none. An empty one is what a log-out or an unset variable leaves behind.
func single(tokens []string) (string, error) {
	found := ""
	for _, token := range tokens {
		if token == "" {
			continue
		}
		if found != "" && token != found {
			return "", ErrManyTokens
		}
		found = token
	}
	return found, nil
}

// checkToken refuses what cannot be a signed token before anything is decoded: by its size, and by its characters,
// since Go's base64 decoder passes over line breaks.
func checkToken(token string) error {
	if len(token) > maxToken {
		return refuse("the token is larger than 16 KiB")
	}
	for i := range len(token) {
		c := token[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return refuse("the token is malformed")
		}
	}
	return nil
}
