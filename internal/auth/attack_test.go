package auth

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	notSigned = "the token is not signed with an accepted key and algorithm"
	malformed = "the token is malformed"
)

func TestJWT_RefusesForgedSignatures(t *testing.T) {
	j := newJWT(t, JWTOptions{Key: testSecret})
	good := sign(t, "HS256", []byte(testSecret), with(nil), nil)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	admin := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"jack","admin":true,"exp":9999999999}`))
	none := sign(t, "none", jwt.UnsafeAllowNoneSignatureType, with(nil), nil)
	header := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"typ":"JWT"}`, alg))
	}
	rs := newKey(t, "RS256")
	if _, err := j.Authenticate(bearerRequest(good)); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	for _, tt := range []struct{ name, token, want string }{
		{"alg none", none, notSigned},
		{"alg none with a signature", none + signature, notSigned},
		{"alg None", header("None") + "." + payload + ".", notSigned},
		{"alg NONE", header("NONE") + "." + payload + "." + signature, notSigned},
		{"alg empty", header("") + "." + payload + "." + signature, notSigned},
		{"alg unknown", header("HS1") + "." + payload + "." + signature, notSigned},
		{"alg missing", base64.RawURLEncoding.EncodeToString([]byte(`{}`)) + "." + payload + "." + signature, notSigned},
		{"alg a number", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":256}`)) + "." + payload + "." + signature, notSigned},
		{"another key", sign(t, "HS256", []byte(testSecret+"x"), with(nil), nil), notSigned},
		{"an empty key", sign(t, "HS256", []byte{}, with(nil), nil), notSigned},
		{"an RSA key", sign(t, "RS256", rs.private, with(nil), nil), notSigned},
		{"another payload", head + "." + admin + "." + signature, notSigned},
		{"no signature", head + "." + payload + ".", notSigned},
		{"half a signature", head + "." + payload + "." + signature[:20], notSigned},
		{"no signature part", head + "." + payload, malformed},
		{"five parts, as encrypted ones have", good + ".a.b", malformed},
		{"only dots", "..", malformed},
		{"one word", "jack", malformed},
		{"bits behind the signature's end", head + "." + payload + "." + signature[:len(signature)-1] + "9", malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := j.Authenticate(bearerRequest(tt.token))
			wantRefused(t, err, tt.want)
		})
	}
}

// A gateway that checks with a public key must not take that public key for an HMAC secret.
func TestJWT_RefusesThePublicKeyAsSecret(t *testing.T) {
	rs := newKey(t, "RS256")
	der, err := x509.MarshalPKIXPublicKey(rs.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{Key: rs.pem})
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		for name, secret := range map[string]string{"PEM": rs.pem, "PEM without line break": strings.TrimSpace(rs.pem), "DER": string(der), "empty": ""} {
			_, err := j.Authenticate(bearerRequest(sign(t, alg, []byte(secret), with(nil), nil)))
			if wantRefused(t, err, notSigned); t.Failed() {
				t.Fatalf("%s with the key as %s", alg, name)
			}
		}
	}
}

func TestJWT_ChecksClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJWT(t, JWTOptions{Key: testSecret, Issuer: "https://id.example.com", Audience: []string{"gateway", "events"}})
		now := time.Now()
		at := func(d time.Duration) int64 { return now.Add(d).Unix() }
		good := jwt.MapClaims{"iss": "https://id.example.com", "aud": "gateway"}
		for _, tt := range []struct {
			name    string
			changes jwt.MapClaims
			want    string // empty: accepted
		}{
			{"good", nil, ""},
			{"audience among others", jwt.MapClaims{"aud": []string{"x", "events"}}, ""},
			{"expired", jwt.MapClaims{"exp": at(-time.Second), "iat": at(-time.Hour)}, "the token has expired"},
			{"expires now", jwt.MapClaims{"exp": at(0), "iat": at(-time.Hour)}, "the token has expired"},
			{"expires next", jwt.MapClaims{"exp": at(time.Second)}, ""},
			{"fraction of a second", jwt.MapClaims{"exp": float64(at(0)) + 0.9}, "the token has expired"},
			{"no exp", jwt.MapClaims{"exp": nil}, "the token has no exp"},
			{"exp null", jwt.MapClaims{"exp": jwt.MapClaims(nil)}, "the token has no exp"},
			{"not valid yet", jwt.MapClaims{"nbf": at(leeway + time.Second)}, "the token is not valid yet"},
			{"a clock that runs ahead", jwt.MapClaims{"nbf": at(leeway), "iat": at(leeway)}, ""},
			{"issued in the future", jwt.MapClaims{"iat": at(leeway + time.Second)}, "the token was issued in the future"},
			{"lives a day", jwt.MapClaims{"exp": at(23 * time.Hour), "iat": at(-time.Hour)}, ""},
			{"lives longer", jwt.MapClaims{"exp": at(23*time.Hour + time.Second), "iat": at(-time.Hour)}, "the token lives longer than 24h0m0s"},
			{"lives a day, no iat", jwt.MapClaims{"exp": at(24 * time.Hour), "iat": nil}, ""},
			{"lives longer, no iat", jwt.MapClaims{"exp": at(25 * time.Hour), "iat": nil}, "the token lives longer than 24h0m0s"},
			{"wrong issuer", jwt.MapClaims{"iss": "https://id.example.com/"}, "wrong issuer"},
			{"no issuer", jwt.MapClaims{"iss": nil}, "wrong issuer"},
			{"wrong audience", jwt.MapClaims{"aud": "other"}, "wrong audience"},
			{"empty audience", jwt.MapClaims{"aud": []string{""}}, "wrong audience"},
			{"no audience in the list", jwt.MapClaims{"aud": []string{}}, "wrong audience"},
			{"no audience", jwt.MapClaims{"aud": nil}, "wrong audience"},
		} {
			claims := with(good)
			for name, value := range tt.changes {
				if claims[name] = value; value == nil {
					delete(claims, name)
				}
			}
			_, err := j.Authenticate(bearerRequest(sign(t, "HS256", []byte(testSecret), claims, nil)))
			if tt.want == "" {
				if err != nil {
					t.Errorf("%s: got error %v, want none", tt.name, err)
				}
			} else if wantRefused(t, err, tt.want); t.Failed() {
				t.Fatalf("%s", tt.name)
			}
		}
	})
}

func TestJWT_ExpIsOptionalWhenConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJWT(t, JWTOptions{Key: testSecret, AllowNoExp: true, MaxAge: time.Hour})
		token := sign(t, "HS256", []byte(testSecret), with(jwt.MapClaims{"exp": nil}), nil)
		id, err := j.Authenticate(bearerRequest(token))
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Now().Add(time.Hour); !id.Expires.Equal(want) {
			t.Errorf("expires %s, want %s: MaxAge after iat", id.Expires, want)
		}
		time.Sleep(time.Hour)
		_, err = j.Authenticate(bearerRequest(token))
		wantRefused(t, err, "the token has expired")
		_, err = j.Authenticate(bearerRequest(sign(t, "HS256", []byte(testSecret), with(jwt.MapClaims{"exp": nil, "iat": nil}), nil)))
		wantRefused(t, err, "the token has neither exp nor iat")
	})
}

// Keys, and places of keys, that a token brings along are not used, and a kid is no file, URL or query.
func TestJWT_IgnoresWhatTheHeaderOffers(t *testing.T) {
	forger := newKey(t, "ES256")
	rs := newKey(t, "RS256")
	j := newJWT(t, JWTOptions{Key: rs.pem})
	for name, header := range map[string]map[string]any{
		"jwk":              {"jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
		"jku":              {"jku": "http://127.0.0.1:1/jwks.json", "kid": "x"},
		"x5u":              {"x5u": "http://127.0.0.1:1/cert.pem"},
		"x5c":              {"x5c": []string{"AAAA"}},
		"traversal in kid": {"kid": "../../../../dev/null"},
		"SQL in kid":       {"kid": "x' UNION SELECT 'key'--"},
		"command in kid":   {"kid": "|/usr/bin/id"},
		"empty kid":        {"kid": ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := j.Authenticate(bearerRequest(sign(t, "ES256", forger.private, with(nil), header)))
			wantRefused(t, err, notSigned)
			if _, err = j.Authenticate(bearerRequest(sign(t, "RS256", rs.private, with(nil), header))); err != nil {
				t.Errorf("the right key with that header: %v", err)
			}
		})
	}
}

func TestJWT_RefusesHeadersItCannotHonour(t *testing.T) {
	j := newJWT(t, JWTOptions{Key: testSecret})
	for _, tt := range []struct {
		name   string
		header map[string]any
		want   string
	}{
		{"crit", map[string]any{"crit": []string{"exp"}}, "the token needs an extension that is not supported"},
		{"empty crit", map[string]any{"crit": nil}, "the token needs an extension that is not supported"},
		{"b64", map[string]any{"b64": false, "crit": []string{"b64"}}, "the token needs an extension that is not supported"},
		{"b64 without crit", map[string]any{"b64": false}, "the token needs an extension that is not supported"},
		{"kid a number", map[string]any{"kid": 1}, "the token's kid is malformed"},
		{"kid a list", map[string]any{"kid": []string{"a"}}, "the token's kid is malformed"},
		{"huge kid", map[string]any{"kid": strings.Repeat("k", 8000)}, "the token's kid is malformed"},
		{"larger than 16 KiB", map[string]any{"x": strings.Repeat("x", maxToken)}, "the token is larger than 16 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := j.Authenticate(bearerRequest(sign(t, "HS256", []byte(testSecret), with(nil), tt.header)))
			wantRefused(t, err, tt.want)
		})
	}
}

func TestJWT_TellsWhereTheTokenWas(t *testing.T) {
	j := newJWT(t, JWTOptions{Key: testSecret, Cookie: "session"})
	token := sign(t, "HS256", []byte(testSecret), with(nil), nil)
	for _, tt := range []struct {
		authorization, cookies []string
		query                  string
		want                   Source
	}{
		{authorization: []string{"Bearer " + token}, want: SourceBearer},
		{cookies: []string{"session=" + token}, want: SourceCookie},
		{query: "access_token=" + token, want: SourceQuery},
	} {
		id, err := j.Authenticate(tokenRequest(tt.authorization, tt.cookies, tt.query))
		if err != nil || id.Source != tt.want {
			t.Errorf("got source %d, error %v, want %d", id.Source, err, tt.want)
		}
	}
}
