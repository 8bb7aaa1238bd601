package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// claims is the payload of a token. It is decoded by hand: encoding/json alone would take "SUB" for "sub", the last
// of two equal names, and U+FFFD for what is not UTF-8, so that two systems could read two users in one token.
type claims struct {
	jwt.RegisteredClaims

	client    string   // the client that the token was issued to, where it says so
	path      []string // where the object with the grants is; set before decoding, empty: the payload itself
	subscribe []string
	publish   []string
	admin     bool
}

// lastDate is the end of the year 9999, beyond which a date is a mistake and a float64 no longer a time.
const lastDate = 253402300799

// UnmarshalJSON reads the payload. Its errors are *TokenError.
func (c *claims) UnmarshalJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return refuse("the token is not UTF-8")
	}
	d := decoder{}
	top := d.object(raw)
	c.Subject = d.text(top, "sub")
	c.Issuer = d.text(top, "iss")
	c.client = clientOf(top)
	c.Audience = d.audience(top)
	c.ExpiresAt = d.date(top, "exp")
	c.IssuedAt = d.date(top, "iat")
	c.NotBefore = d.date(top, "nbf")
	grants := top
	for _, name := range c.path {
		raw, ok := grants[name]
		if grants = nil; ok && string(raw) != "null" {
			grants = d.object(raw)
		}
	}
	c.subscribe = d.list(grants, "subscribe")
	c.publish = d.list(grants, "publish")
	c.admin = d.flag(grants, "admin")
	// A lone surrogate escape becomes U+FFFD as well; without this, all names with one would be the same user.
	if c.Subject != "" && (!isName(c.Subject) || strings.ContainsRune(c.Subject, utf8.RuneError)) {
		d.fail("sub is no valid name of a user")
	}
	return d.err
}

// clientOf returns the client that a token was issued to, by the first of the names that identity providers have for it
// (azp: OpenID Connect Core, section 2; client_id: RFC 9068, section 2.2; appid: Entra ID; cid: Okta). Since nothing is
// granted by it, a value of another kind is no fault.
func clientOf(claims map[string]json.RawMessage) string {
	for _, name := range []string{"azp", "client_id", "appid", "cid"} {
		var client string
		if raw, ok := claims[name]; ok && json.Unmarshal(raw, &client) == nil && client != "" {
			return client
		}
	}
	return ""
}

// publisher names the sender of a token without sub: its client, or where it names none, all that stays the same when
// the token is renewed. No subject can be equal to it, for names hold no control characters.
func (c *claims) publisher(header map[string]any) string {
	parts := []any{c.Issuer, c.client}
	if c.client == "" {
		parts = []any{c.Issuer, header["kid"], c.Audience, c.subscribe, c.publish, c.admin}
	}
	text, _ := json.Marshal(parts) // strings and lists of them always marshal
	sum := sha256.Sum256(text)
	return "\x00" + string(sum[:])
}

// decoder reads members of objects and keeps the first error. An absent member and null are the zero value.
type decoder struct{ err error }

func (d *decoder) fail(detail string) {
	if d.err == nil {
		d.err = refuse(detail)
	}
}

// object splits an object into its members. Claim names must be unique (RFC 7519, section 4).
func (d *decoder) object(raw []byte) map[string]json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		d.fail("the token's claims are no JSON object")
		return nil
	}
	members := make(map[string]json.RawMessage)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || dec.Decode(&value) != nil {
			d.fail("the token is malformed")
			return nil
		}
		if _, twice := members[name]; twice {
			d.fail("the token holds a claim twice")
			return nil
		}
		members[name] = value
	}
	return members
}

func (d *decoder) member(from map[string]json.RawMessage, name string, value any, want string) {
	if raw, ok := from[name]; ok && json.Unmarshal(raw, value) != nil {
		d.fail(name + " must be " + want)
	}
}

func (d *decoder) text(from map[string]json.RawMessage, name string) (s string) {
	d.member(from, name, &s, "a string")
	return s
}

func (d *decoder) flag(from map[string]json.RawMessage, name string) (b bool) {
	d.member(from, name, &b, "true or false")
	return b
}

func (d *decoder) list(from map[string]json.RawMessage, name string) (l []string) {
	d.member(from, name, &l, "a list of strings")
	return l
}

// audience reads aud, which may also be one string (RFC 7519, section 4.1.3).
func (d *decoder) audience(from map[string]json.RawMessage) []string {
	var one string
	if raw := from["aud"]; len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	return d.list(from, "aud")
}

// date reads a NumericDate (RFC 7519, section 2), to the second.
func (d *decoder) date(from map[string]json.RawMessage, name string) *jwt.NumericDate {
	var seconds *float64
	d.member(from, name, &seconds, "a number of seconds")
	if seconds == nil {
		return nil
	}
	if *seconds < 0 || *seconds > lastDate {
		d.fail(name + " is no date")
		return nil
	}
	return jwt.NewNumericDate(time.Unix(int64(*seconds), 0))
}

// parseClaimPath reads the setting JWT_CLAIM: the name of a top-level claim as it is, dots and slashes included
// ("https://example.com/gateway"), or, when it starts with a slash, a JSON pointer (RFC 6901) to a nested one
// ("/resource_access/gateway"). The form alone decides, never what a token holds.
func parseClaimPath(setting string) ([]string, error) {
	if setting == "" {
		return nil, nil
	}
	pointer, nested := strings.CutPrefix(setting, "/")
	if !nested {
		return []string{setting}, nil
	}
	path := strings.Split(pointer, "/")
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for i, name := range path {
		if name == "" {
			return nil, errors.New("GATEWAY_JWT_CLAIM: an empty name in the path")
		}
		path[i] = unescape.Replace(name)
	}
	return path, nil
}
