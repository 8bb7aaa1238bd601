package auth

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Two publishers must not meet in one scope of idempotency keys: the event of the second would be swallowed as a repetition
// of the first one's. And one that has renewed its token meanwhile must find its own again.
func TestIdentity_PublisherIsWhoeverTheTokenIdentifies(t *testing.T) {
	es := newKey(t, "ES256")
	j := newJWT(t, JWTOptions{Key: es.pem})
	of := func(changes jwt.MapClaims, header map[string]any) string {
		t.Helper()
		id, err := j.Authenticate(bearerRequest(sign(t, "ES256", es.private, with(changes), header)))
		if err != nil {
			t.Fatal(err)
		}
		return id.Publisher()
	}
	seen := map[string]string{}
	for name, changes := range map[string]jwt.MapClaims{
		"sub":                    {},
		"another sub":            {"sub": "jill"},
		"nothing":                {"sub": nil},
		"azp":                    {"sub": nil, "azp": "orders"},
		"another azp":            {"sub": nil, "azp": "billing"},
		"azp of another issuer":  {"sub": nil, "azp": "orders", "iss": "https://b.example.com"},
		"client_id":              {"sub": nil, "client_id": "shipping"},
		"appid":                  {"sub": nil, "appid": "0a1b"},
		"cid":                    {"sub": nil, "cid": "0oa1"},
		"issuer":                 {"sub": nil, "iss": "https://b.example.com"},
		"audience":               {"sub": nil, "aud": "orders"},
		"what it may publish":    {"sub": nil, "publish": []string{"orders.*"}},
		"more that it may":       {"sub": nil, "publish": []string{"orders.*", "billing.*"}},
		"a comma in a name":      {"sub": nil, "publish": []string{"orders.*,billing.*"}},
		"what it may subscribe":  {"sub": nil, "subscribe": []string{"orders.*"}},
		"admin":                  {"sub": nil, "admin": true},
		"issuer in the client":   {"sub": nil, "iss": "a", "azp": "bc"},
		"client in the issuer":   {"sub": nil, "iss": "ab", "azp": "c"},
		"a client like a sub":    {"sub": nil, "azp": "jack"},
		"a client that is no id": {"sub": nil, "azp": 7, "publish": []string{"x"}},
	} {
		got := of(changes, nil)
		if other, met := seen[got]; met {
			t.Errorf("%q and %q are one publisher", name, other)
		}
		seen[got] = name
		changes["iat"], changes["exp"], changes["jti"] = time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Minute).Unix(), "other"
		if renewed := of(changes, nil); renewed != got {
			t.Errorf("%s: another publisher with a renewed token", name)
		}
	}
	if of(jwt.MapClaims{"sub": nil}, kid("a")) == of(jwt.MapClaims{"sub": nil}, kid("b")) {
		t.Error("two that sign with keys of their own are one publisher")
	}
	if of(jwt.MapClaims{"sub": nil, "azp": "orders"}, kid("a")) != of(jwt.MapClaims{"sub": nil, "azp": "orders"}, kid("b")) {
		t.Error("a client is another publisher once the key has been rotated")
	}
	if got := of(jwt.MapClaims{}, nil); got != "jack" {
		t.Errorf("the publisher of sub jack is %q", got)
	}
}
