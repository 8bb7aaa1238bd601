package auth

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokenCommand_MintsWhatTheGatewayAccepts(t *testing.T) {
	keys := map[string]string{"secret": testSecret}
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		pair := newKey(t, alg)
		keys[alg] = pair.pem + pair.privatePEM
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := JWTOptions{Key: key, Issuer: "dev", Audience: []string{"gateway", "x"}, Claim: "/a/b"}
				var out strings.Builder
				args := []string{"-sub", "jack", "-subscribe", "chat.*|news", "-subscribe", "x", "-publish", "@*", "-admin", "-exp", "2h"}
				if err := TokenCommand(args, o, &out); err != nil {
					t.Fatal(err)
				}
				id, err := newJWT(t, o).Authenticate(bearerRequest(strings.TrimSuffix(out.String(), "\n")))
				if err != nil {
					t.Fatal(err)
				}
				if id.Subject != "jack" || !id.Admin || !id.Expires.Equal(time.Now().Add(2*time.Hour)) || !id.IssuedAt.Equal(time.Now()) {
					t.Errorf("got %+v", id)
				}
				if !id.MaySubscribe("chat.1") || !id.MaySubscribe("news") || !id.MaySubscribe("x") || id.MaySubscribe("y") ||
					!id.MayPublishInbox("jill") || id.MayPublish("news") {
					t.Errorf("got other grants than asked for: %+v", id)
				}
			})
		})
	}
}

func TestTokenCommand_MintsATokenThatGrantsNothing(t *testing.T) {
	var out strings.Builder
	if err := TokenCommand(nil, JWTOptions{Key: testSecret}, &out); err != nil {
		t.Fatal(err)
	}
	id, err := newJWT(t, JWTOptions{Key: testSecret}).Authenticate(bearerRequest(strings.TrimSpace(out.String())))
	if err != nil || id.Subject != "" || id.Admin || id.MaySubscribe("t") || id.MayPublish("t") {
		t.Errorf("got %+v, error %v, want one that grants nothing", id, err)
	}
}

func TestTokenCommand_RefusesWithoutShowingTheKey(t *testing.T) {
	public := newKey(t, "ES256").pem
	for _, tt := range []struct {
		name string
		args []string
		o    JWTOptions
		want string
	}{
		{"no key", nil, JWTOptions{}, "GATEWAY_JWT_KEY"},
		{"a key set", nil, JWTOptions{JWKSURL: "https://id.example.com"}, "no key to sign with"},
		{"a public key", nil, JWTOptions{Key: public}, "only public keys"},
		{"a short secret", nil, JWTOptions{Key: "hunter2"}, "GATEWAY_JWT_KEY: a secret needs"},
		{"too long", []string{"-exp", "25h"}, JWTOptions{Key: testSecret}, "GATEWAY_JWT_MAX_AGE"},
		{"over already", []string{"-exp", "-1h"}, JWTOptions{Key: testSecret}, "lifetime"},
		{"bad subject", []string{"-sub", "a\nb"}, JWTOptions{Key: testSecret}, "no valid name"},
		{"bad claim", nil, JWTOptions{Key: testSecret, Claim: "/"}, "GATEWAY_JWT_CLAIM"},
		{"unknown flag", []string{"-key", "x"}, JWTOptions{Key: testSecret}, "-key"},
		{"a word too much", []string{"jack"}, JWTOptions{Key: testSecret}, `unexpected argument "jack"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := TokenCommand(tt.args, tt.o, &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
				t.Fatalf("got error %v and output %q, want an error that says %q", err, out.String(), tt.want)
			}
			if tt.o.Key != "" && strings.Contains(err.Error(), tt.o.Key) {
				t.Errorf("error %q shows the key", err)
			}
		})
	}
}

func TestTokenCommand_Helps(t *testing.T) {
	var out strings.Builder
	if err := TokenCommand([]string{"-h"}, JWTOptions{Key: testSecret}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gateway token", "-sub user", "-subscribe topics", "-publish topics", "-admin", "-exp"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help %q does not say %q", out.String(), want)
		}
	}
	if strings.Contains(out.String(), testSecret) {
		t.Error("the help shows the key")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestTokenCommand_ReportsAFailedWrite(t *testing.T) {
	if err := TokenCommand(nil, JWTOptions{Key: testSecret}, brokenWriter{}); err == nil {
		t.Error("got no error")
	}
}
