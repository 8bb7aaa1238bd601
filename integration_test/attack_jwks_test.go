package integration_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// A keyServer is an identity provider's key set, which may be away or show other keys.
type keyServer struct {
	addr   string
	answer atomic.Pointer[string] // nil: 503
	asked  atomic.Int32
}

func (k *keyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	k.asked.Add(1)
	answer := k.answer.Load()
	if answer == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte(*answer))
}

// start begins to listen.
func (k *keyServer) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", k.addr)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(k)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
}

// show makes keys the set.
func (k *keyServer) show(t *testing.T, keys ...map[string]any) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	answer := string(text)
	k.answer.Store(&answer)
}

func jwk(key *rsa.PrivateKey, kid string) map[string]any {
	return map[string]any{"kty": "RSA", "use": "sig", "kid": kid, "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes())}
}

// A keyTest is a gateway whose keys come from a keyServer.
type keyTest struct {
	t       *testing.T
	keys    *keyServer
	gateway *lab.Gateway
}

// token is a line with a token that a key has signed, under a name.
func (k keyTest) token(key *rsa.PrivateKey, kid string) string {
	claims := jwt.MapClaims{"sub": "jack", "subscribe": []string{"*"}, "publish": []string{"*"}}
	return "Authorization: Bearer " + sign(k.t, jwt.SigningMethodRS256, key, complete(claims), map[string]any{"kid": kid})
}

// publish checks how a publish with a token is answered.
func (k keyTest) publish(what string, want int, lines ...string) reply {
	k.t.Helper()
	got := ask(k.t, k.gateway, post(event, lines...))
	if got.status != want {
		k.t.Errorf("%s: %d %s, want %d", what, got.status, got.body, want)
	}
	return got
}

// A gateway whose key set is away waits for it without turning anybody away for good, and follows it as it changes.
func TestAttack_KeySetThatComesAndGoes(t *testing.T) {
	t.Parallel() // it waits for keys
	k := keyTest{t: t, keys: &keyServer{addr: lab.FreeAddr(t)}}
	k.gateway = lab.StartGateway(t, gateways.Binary(t), "GATEWAY_AUTH=jwt", "GATEWAY_LOG_LEVEL=debug", "GATEWAY_JWKS_URL=http://"+k.keys.addr+"/jwks.json?secret=hunter2")
	keepsSecrets(t, k.gateway, &issuer{secret: "hunter2"})
	first, second := newRSA(t), newRSA(t)

	k.whileAwayAtTheStart(first)
	k.keys.show(t, jwk(first, "1"))
	k.keys.start(t)
	k.gateway.WaitReady(t)
	k.publish("the first key", http.StatusOK, k.token(first, "1"))
	stream := lab.Subscribe(t, withBearer(k.gateway, k.token(first, "1"), "t"))
	stream.WaitReady(t)

	k.whileForged()
	k.rotated(first, second)
	k.keys.answer.Store(nil)
	for range 20 {
		k.publish("a known key while the key set is away", http.StatusOK, k.token(second, "2"))
	}
	if state := stream.State(); state.Connects != 1 {
		t.Errorf("the stream that was open all along has had %d connections", state.Connects)
	}
}

func (k keyTest) whileAwayAtTheStart(key *rsa.PrivateKey) {
	if status := k.gateway.Status("/readyz"); status != http.StatusServiceUnavailable {
		k.t.Errorf("readyz without keys: %d", status)
	}
	if got := k.publish("without keys", http.StatusServiceUnavailable, k.token(key, "1")); got.header.Get("Retry-After") == "" {
		k.t.Errorf("publish without keys: %v", got.header)
	}
	got := ask(k.t, k.gateway, request{target: "/subscribe?topics=t"}.with(k.token(key, "1")))
	if got.status != http.StatusOK || !strings.HasPrefix(got.body, ": not now: the keys") || !strings.Contains(got.body, "\nretry: ") {
		k.t.Errorf("subscribe without keys: %d %q", got.status, got.body)
	}
	k.publish("without keys and token", http.StatusUnauthorized)
}

// whileForged: tokens under invented names do not make the gateway a nuisance to the key server.
func (k keyTest) whileForged() {
	stranger := newRSA(k.t)
	asked := k.keys.asked.Load()
	for i := range 200 {
		k.publish("a stranger's key", http.StatusUnauthorized, k.token(stranger, fmt.Sprintf("%d/../1", i)))
	}
	if asks := k.keys.asked.Load() - asked; asks > 3 {
		k.t.Errorf("200 forged tokens have made the gateway ask %d times for the key set", asks)
	}
	k.publish("a stranger's key with a known name", http.StatusUnauthorized, k.token(stranger, "1"))
}

func (k keyTest) rotated(before, after *rsa.PrivateKey) {
	const secret = "secret secret secret secret secret!"
	k.keys.show(k.t, jwk(after, "2"), map[string]any{"kty": "oct", "kid": "3", "k": encode(secret)})
	began := time.Now()
	lab.Eventually(k.t, wait, func() error {
		if got := ask(k.t, k.gateway, post(event, k.token(after, "2"))); got.status != http.StatusOK {
			return fmt.Errorf("the new key: %d %s", got.status, got.body)
		}
		return nil
	})
	k.t.Logf("the new key was known after %v", time.Since(began).Round(time.Millisecond))
	k.publish("the key that was withdrawn", http.StatusUnauthorized, k.token(before, "1"))
	shared := sign(k.t, jwt.SigningMethodHS256, []byte(secret), complete(jwt.MapClaims{"publish": []string{"*"}}), map[string]any{"kid": "3"})
	k.publish("a secret out of the public key set", http.StatusUnauthorized, "Authorization: Bearer "+shared)
}
