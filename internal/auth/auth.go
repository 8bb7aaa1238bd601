// Package auth says who a request comes from and what they may do: anybody and everything (None), or what a signed
// token grants (JWT). It knows neither routes nor Redis; it never logs a token or a key, nor puts one in an error.
package auth

import (
	"errors"
	"net/http"
)

// Errors of Authenticate that callers branch on.
var (
	// ErrNoToken: the request carries no token. Answer 401.
	ErrNoToken = errors.New("the request carries no token")
	// ErrManyTokens: the request carries tokens that differ, so that it is not clear who it comes from. Answer 400.
	ErrManyTokens = errors.New("the request carries more than one token")
	// ErrBadToken: the token is refused, for good. Answer 401. Always inside a *TokenError, which says why.
	ErrBadToken = errors.New("the token is refused")
	// ErrKeysUnavailable: the token cannot be judged, because the key set has not been loaded. Answer 503; never
	// with a status that makes EventSource give up.
	ErrKeysUnavailable = errors.New("the keys that tokens are checked with are unavailable")
)

// TokenError says why a token was refused.
type TokenError struct {
	Detail string // safe to show: constant text, nothing of the token or the key
}

// Error returns the detail after the sentinel's text.
func (e *TokenError) Error() string { return ErrBadToken.Error() + ": " + e.Detail }

// Unwrap makes errors.Is(err, ErrBadToken) true.
func (e *TokenError) Unwrap() error { return ErrBadToken }

func refuse(detail string) error { return &TokenError{Detail: detail} }

// Detail returns what may be shown of an error of Authenticate: never its cause.
func Detail(err error) string {
	if refused, ok := errors.AsType[*TokenError](err); ok {
		return refused.Detail
	}
	for _, known := range []error{ErrNoToken, ErrManyTokens, ErrKeysUnavailable} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ErrBadToken.Error()
}

// Authenticator finds out who sent a request. It is safe for concurrent use.
type Authenticator interface {
	Authenticate(r *http.Request) (Identity, error)
}

// None is the Authenticator of AUTH=none: everybody may do everything, as any user.
type None struct{}

// Authenticate returns the anonymous identity and never an error.
func (None) Authenticate(*http.Request) (Identity, error) {
	return Identity{Admin: true, anonymous: true}, nil
}
