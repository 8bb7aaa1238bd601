package auth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestParseKeySet_TakesOnlyPublicSigningKeys(t *testing.T) {
	es := newKey(t, "ES256")
	one := strings.TrimSuffix(strings.TrimPrefix(keySet(t, "k-", es), `{"keys":[`), `]}`)
	set := func(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }
	for _, tt := range []struct {
		name string
		body []byte
		want int
		set  bool // it is a key set
	}{
		{"one", set(one), 1, true},
		{"a symmetric key", set(one, `{"kty":"oct","kid":"o","alg":"HS256","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}`), 1, true},
		{"a symmetric key alone", set(`{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}`), 0, true},
		{"for encryption", set(one, strings.Replace(one, `"sig"`, `"enc"`, 1)), 1, true},
		{"for signing only", set(one, strings.Replace(one, `{`, `{"key_ops":["sign"],`, 1)), 1, true},
		{"for verifying", set(strings.Replace(one, `{`, `{"key_ops":["verify"],`, 1)), 1, true},
		{"another algorithm than its kind", set(one, strings.Replace(one, `"ES256"`, `"HS256"`, 1)), 1, true},
		{"an unknown kind", set(one, `{"kty":"AKP","kid":"x"}`, `{"kty":"OKP","crv":"Ed448","x":"AA"}`, `7`, `null`, `{}`), 1, true},
		{"off the curve", set(one, `{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`), 1, true},
		{"a weak RSA key", set(one, `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2","e":"AQAB"}`), 1, true},
		{"a huge kid", set(one, strings.Replace(one, `"k-`, `"`+strings.Repeat("k", 300), 1)), 1, true},
		{"no keys", set(), 0, true},
		{"no set", []byte(`[]`), 0, false},
		{"a set without its member", []byte(`{}`), 0, false},
		{"null for the keys", []byte(`{"keys":null}`), 0, false},
		{"no JSON", []byte(`<html>`), 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := parseKeySet(tt.body)
			if len(keys) != tt.want || (err == nil) != tt.set {
				t.Errorf("got %d keys, error %v, want %d", len(keys), err, tt.want)
			}
		})
	}
}

func TestSecure(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://id.example.com/": true, "http://127.0.0.1:8080/": true, "http://[::1]/": true, "http://localhost/": true,
		"http://id.example.com/": false, "http://127.0.0.1.example.com/": false, "http://10.0.0.1/": false, "ftp://localhost/": false,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := secure(u); got != want {
			t.Errorf("secure(%q) = %v, want %v", raw, got, want)
		}
	}
}

func TestJWKS_FollowsNoRedirectToAnInsecureURL(t *testing.T) {
	var target string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusFound)
	}))
	defer server.Close()
	for _, target = range []string{"http://keys.invalid/jwks.json", server.URL} {
		k, err := newRemoteKeys(JWTOptions{JWKSURL: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("redirected to %s: got error %v, want one about the redirect", target, err)
		}
		k.client.CloseIdleConnections()
	}
}
