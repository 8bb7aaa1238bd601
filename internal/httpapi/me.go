package httpapi

import (
	"net/http"
	"time"

	"sse-gateway/internal/auth"
)

// A meAnswer is what a request's token says, as the gateway understands it.
type meAnswer struct {
	Auth      string   `json:"auth"`           // none or jwt
	User      string   `json:"user,omitempty"` // absent for a token without sub, and with none: the request names it there
	Admin     bool     `json:"admin"`
	Subscribe []string `json:"subscribe"`
	Publish   []string `json:"publish"`
	Expires   string   `json:"expires,omitempty"` // absent with none
	Token     string   `json:"token,omitempty"`   // where it was: header, cookie or query
}

// showMe tells who the gateway takes the request for. A page learns from its 401 that it has to log in again, which EventSource
// does not tell from a missing right.
func (a *API) showMe(w http.ResponseWriter, r *http.Request) error {
	who, err := a.identify(r)
	if err != nil {
		return err
	}
	me := meAnswer{
		Auth:      "jwt",
		User:      who.Subject,
		Admin:     who.Admin,
		Subscribe: append([]string{}, who.Subscribes()...),
		Publish:   append([]string{}, who.Publishes()...),
		Token:     sourceName(who.Source),
	}
	if who.Anonymous() {
		me.Auth = "none"
	}
	if !who.Expires.IsZero() {
		me.Expires = who.Expires.UTC().Format(time.RFC3339)
	}
	answer(w, me)
	return nil
}

func sourceName(source auth.Source) string {
	switch source {
	case auth.SourceBearer:
		return "header"
	case auth.SourceCookie:
		return "cookie"
	case auth.SourceQuery:
		return "query"
	}
	return ""
}
