package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"

	"sse-gateway/internal/testkit"
)

// keyServer answers with a key set, as an http.Handler and, inside a synctest bubble, as an http.RoundTripper.
type keyServer struct {
	mu     sync.Mutex
	body   string        // guarded by mu
	status int           // guarded by mu; 0: the server is away
	asked  int           // guarded by mu
	delay  time.Duration // guarded by mu
}

func (s *keyServer) set(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	w.WriteHeader(s.status)
	_, _ = w.Write([]byte(s.body))
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	away, delay := s.status == 0, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if away {
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

// keySet writes the public keys as a key set; their kids are their algorithms, after a prefix.
func keySet(t *testing.T, prefix string, pairs ...keyPair) string {
	t.Helper()
	var set jwkset.JWKSMarshal
	for _, pair := range pairs {
		jwk, err := jwkset.NewJWKFromKey(pair.private.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: prefix + pair.alg, ALG: jwkset.ALG(pair.alg), USE: jwkset.UseSig},
		})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func kid(name string) map[string]any { return map[string]any{"kid": name} }

// remoteJWT opens a JWT on s inside a bubble.
func remoteJWT(t *testing.T, s *keyServer, log *slog.Logger) *JWT {
	t.Helper()
	return newJWT(t, JWTOptions{JWKSURL: "https://id.example.com/jwks.json?secret=hunter2", Client: &http.Client{Transport: s}, Log: log})
}

func TestJWKS_ChecksTokensByKid(t *testing.T) {
	rs, es, ed := newKey(t, "RS256"), newKey(t, "ES256"), newKey(t, "EdDSA")
	forger := newKey(t, "ES256")
	server := httptest.NewServer(&keyServer{status: http.StatusOK, body: keySet(t, "k-", rs, es, ed)})
	defer server.Close()
	j := newJWT(t, JWTOptions{JWKSURL: server.URL})
	if err := j.Ready(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token, want string
	}{
		{"RSA", sign(t, "RS256", rs.private, with(nil), kid("k-RS256")), ""},
		{"ECDSA", sign(t, "ES256", es.private, with(nil), kid("k-ES256")), ""},
		{"Ed25519", sign(t, "EdDSA", ed.private, with(nil), kid("k-EdDSA")), ""},
		{"without a kid", sign(t, "EdDSA", ed.private, with(nil), nil), ""},
		{"without a kid, forged", sign(t, "ES256", forger.private, with(nil), nil), notSigned},
		{"forged", sign(t, "ES256", forger.private, with(nil), kid("k-ES256")), notSigned},
		{"another algorithm than the key says", sign(t, "RS512", rs.private, with(nil), kid("k-RS256")), "the token is signed with an unknown key"},
		{"another key's kid", sign(t, "ES256", es.private, with(nil), kid("k-RS256")), "the token is signed with an unknown key"},
		{"unknown kid", sign(t, "ES256", es.private, with(nil), kid("nope")), "the token is signed with an unknown key"},
		{"traversal in kid", sign(t, "ES256", es.private, with(nil), kid("../jwks.json")), "the token is signed with an unknown key"},
		{"public key as secret", sign(t, "HS256", []byte(rs.pem), with(nil), kid("k-RS256")), notSigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := j.Authenticate(bearerRequest(tt.token)); tt.want != "" {
				wantRefused(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestJWKS_FollowsARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := newKey(t, "ES256"), newKey(t, "ES256")
		s := &keyServer{status: http.StatusOK, body: keySet(t, "old-", old)}
		j := remoteJWT(t, s, nil)
		check := func(what string, pair keyPair, id string, good bool) {
			t.Helper()
			_, err := j.Authenticate(bearerRequest(sign(t, "ES256", pair.private, with(nil), kid(id))))
			if good && err != nil {
				t.Errorf("%s: %v", what, err)
			} else if !good {
				wantRefused(t, err, "the token is signed with an unknown key")
			}
		}
		check("the first key", old, "old-ES256", true)
		check("a key that is not there yet", next, "next-ES256", false)
		time.Sleep(jwksSpacing)
		s.set(http.StatusOK, `{"keys":[`+strings.TrimSuffix(strings.TrimPrefix(keySet(t, "old-", old), `{"keys":[`), `]}`)+
			","+strings.TrimPrefix(keySet(t, "next-", next), `{"keys":[`))
		check("the new key, at once", next, "next-ES256", true)
		check("the old key beside it", old, "old-ES256", true)
		s.set(http.StatusOK, keySet(t, "next-", next))
		time.Sleep(jwksInterval + time.Second)
		check("the old key, withdrawn", old, "old-ES256", false)
		check("the new key", next, "next-ES256", true)
	})
}

func TestJWKS_KeepsItsKeysWhileTheURLIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := newKey(t, "ES256")
		set := keySet(t, "k-", pair)
		s := &keyServer{status: http.StatusOK, body: set}
		var log testkit.Buffer
		j := remoteJWT(t, s, slog.New(slog.NewTextHandler(&log, nil)))
		good := func() string { return sign(t, "ES256", pair.private, with(nil), kid("k-ES256")) }
		for _, answer := range []struct {
			status int
			body   string
		}{
			{0, ""},
			{http.StatusInternalServerError, set},
			{http.StatusOK, "<html>"},
			{http.StatusOK, "{}"},
			{http.StatusOK, `{"keys":null}`},
			{http.StatusOK, `[]`},
			{http.StatusNotModified, ""},
			{http.StatusOK, `{"keys":"` + strings.Repeat("x", maxKeys) + `"}`},
		} {
			s.set(answer.status, answer.body)
			time.Sleep(2 * jwksInterval)
			if _, err := j.Authenticate(bearerRequest(good())); err != nil {
				t.Errorf("answer %d %.20q: %v", answer.status, answer.body, err)
			}
			_, err := j.Authenticate(bearerRequest(sign(t, "ES256", pair.private, with(nil), kid("next"))))
			if !errors.Is(err, ErrKeysUnavailable) {
				t.Errorf("answer %d %.20q: an unknown kid got %v, want %v: it may be a new key", answer.status, answer.body, err, ErrKeysUnavailable)
			}
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || strings.Contains(text, "hunter2") {
			t.Errorf("logged %q, want one line for the start and one for the outage, without the query", text)
		}
	})
}

// A key set that says that it holds no key any more is no outage: the last key may have been stolen.
func TestJWKS_TakesTheLastKeyAway(t *testing.T) {
	for name, empty := range map[string]string{
		"no keys": `{"keys":[]}`, "none that signs": `{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			pair := newKey(t, "ES256")
			s := &keyServer{status: http.StatusOK, body: keySet(t, "k-", pair)}
			var log testkit.Buffer
			j := remoteJWT(t, s, slog.New(slog.NewTextHandler(&log, nil)))
			s.set(http.StatusOK, empty)
			time.Sleep(jwksInterval + time.Second)
			for _, header := range []map[string]any{kid("k-ES256"), nil} {
				_, err := j.Authenticate(bearerRequest(sign(t, "ES256", pair.private, with(nil), header)))
				if wantRefused(t, err, "the token is signed with an unknown key"); t.Failed() {
					t.Fatal(name)
				}
			}
			if err := j.Ready(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if !strings.Contains(log.String(), "level=WARN") {
				t.Errorf("%s: logged %q, want a warning", name, log.String())
			}
			s.set(http.StatusOK, keySet(t, "k-", pair))
			time.Sleep(jwksSpacing)
			if _, err := j.Authenticate(bearerRequest(sign(t, "ES256", pair.private, with(nil), kid("k-ES256")))); err != nil {
				t.Errorf("%s: given back: %v", name, err)
			}
		})
	}
}

// Who starts together with an identity provider that has no key yet waits for it: a refusal would end every EventSource.
func TestJWKS_WaitsForTheFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := newKey(t, "ES256")
		s := &keyServer{status: http.StatusOK, body: `{"keys":[]}`}
		j := remoteJWT(t, s, nil)
		token := sign(t, "ES256", pair.private, with(nil), kid("k-ES256"))
		if _, err := j.Authenticate(bearerRequest(token)); !errors.Is(err, ErrKeysUnavailable) || !errors.Is(j.Ready(), ErrKeysUnavailable) {
			t.Errorf("got %v and %v, want %v", err, j.Ready(), ErrKeysUnavailable)
		}
		s.set(http.StatusOK, keySet(t, "k-", pair))
		time.Sleep(jwksRetryMax)
		if _, err := j.Authenticate(bearerRequest(token)); err != nil {
			t.Error(err)
		}
	})
}

func TestJWKS_StartsWhileTheURLIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := newKey(t, "ES256")
		s := &keyServer{}
		j := remoteJWT(t, s, nil)
		token := sign(t, "ES256", pair.private, with(nil), kid("k-ES256"))
		if _, err := j.Authenticate(bearerRequest(token)); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("got error %v, want %v", err, ErrKeysUnavailable)
		}
		if _, err := j.Authenticate(bearerRequest(sign(t, "ES256", pair.private, with(nil), nil))); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("without a kid: got error %v, want %v", err, ErrKeysUnavailable)
		}
		if !errors.Is(j.Ready(), ErrKeysUnavailable) {
			t.Error("ready without keys")
		}
		s.set(http.StatusOK, keySet(t, "k-", pair))
		time.Sleep(jwksRetryMax)
		if err := j.Ready(); err != nil {
			t.Error(err)
		}
		if _, err := j.Authenticate(bearerRequest(token)); err != nil {
			t.Error(err)
		}
	})
}

func TestJWKS_StartDoesNotWaitForASlowURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{status: http.StatusOK, body: keySet(t, "k-", newKey(t, "ES256")), delay: 4 * time.Second}
		began := time.Now()
		j := remoteJWT(t, s, nil)
		if took := time.Since(began); took != jwksStart || j.Ready() == nil {
			t.Errorf("started after %s, ready: %v, want after %s, not ready", took, j.Ready(), jwksStart)
		}
		time.Sleep(2 * time.Second)
		if err := j.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// Whoever invents kids must not turn the gateway into a flood for the key set's server.
func TestJWKS_LooksRarelyForInventedKids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := newKey(t, "ES256")
		s := &keyServer{status: http.StatusOK, body: keySet(t, "k-", pair)}
		j := remoteJWT(t, s, nil)
		time.Sleep(jwksSpacing)
		before := s.count()
		var wg sync.WaitGroup
		for i := range 50 {
			token := sign(t, "ES256", pair.private, with(nil), kid(strings.Repeat("x", i)))
			wg.Go(func() {
				_, err := j.Authenticate(bearerRequest(token))
				wantRefused(t, err, "the token is signed with an unknown key")
			})
		}
		wg.Wait()
		if got := s.count() - before; got != 1 {
			t.Errorf("looked %d times, want once", got)
		}
	})
}

func TestJWKS_WaitingEndsWithTheRequestAndWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := newKey(t, "ES256")
		s := &keyServer{status: http.StatusOK, body: keySet(t, "k-", pair)}
		j := remoteJWT(t, s, nil)
		time.Sleep(jwksSpacing)
		s.mu.Lock()
		s.delay = time.Minute
		s.mu.Unlock()
		r := bearerRequest(sign(t, "ES256", pair.private, with(nil), kid("x")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := j.Authenticate(r.WithContext(ctx)); !errors.Is(err, ErrKeysUnavailable) || time.Since(began) != time.Second {
			t.Errorf("got error %v after %s, want %v after the request's second", err, time.Since(began), ErrKeysUnavailable)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		for range 2 { // with what is known, and without waiting
			_, err := j.Authenticate(r)
			wantRefused(t, err, "the token is signed with an unknown key")
		}
	})
}
