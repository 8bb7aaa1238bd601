package integration_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// jackMay is a token of jack's with all the rights that a user can have.
func jackMay(t *testing.T, who *issuer, more jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": "jack", "subscribe": []string{"*"}, "publish": []string{"*"}}
	maps.Copy(claims, more)
	return who.bearer(t, claims)
}

// Who has been cut off is out within a second, on all replicas, with every token from before, also on replicas that
// come later; with a token from after it they are in again.
func TestAttack_TokensOfWhoWasCutOff(t *testing.T) {
	redis := lab.StartRedis(t)
	who := newSecretIssuer()
	s := attackable(t, 2, who, redis.Env())
	before := jackMay(t, who, nil)
	tokens := map[string]string{
		"without iat":       jackMay(t, who, jwt.MapClaims{"iat": nil}),
		"with more rights":  jackMay(t, who, jwt.MapClaims{"admin": true}),
		"issued long ago":   jackMay(t, who, jwt.MapClaims{"iat": time.Now().Add(-time.Hour).Unix()}),
		"the one from then": before,
	}
	lines := openLines(t, s.Replicas[1], before)
	if answer := lines.send(t, event); !strings.Contains(answer, `"id"`) {
		t.Fatalf("a line: %s", answer)
	}
	s.cutsOff(t, who, before)
	later := startReplicas(t, 1, redis.Env(), "GATEWAY_AUTH=jwt", who.setting)[0]
	keepsSecrets(t, later, who)
	for _, replica := range append(s.Replicas[:2:2], later) {
		for what, token := range tokens {
			for _, r := range everyRoute() {
				if got := ask(t, replica, r.with(token)); got.status != http.StatusUnauthorized || !strings.Contains(got.detail, "revoked") {
					t.Errorf("a token %s: %s %s: %d %s", what, r.method, r.target, got.status, got.body)
				}
			}
		}
		lab.Eventually(t, wait, func() error {
			if got := ask(t, replica, request{target: "/subscribe?topics=t"}.with(jackMay(t, who, nil))); got.status != http.StatusOK {
				return fmt.Errorf("a new token: %d %s", got.status, got.body)
			}
			return nil
		})
	}
	if answer := lines.send(t, event); !strings.Contains(answer, `"status":401`) {
		t.Errorf("a line after the cut: %s", answer)
	}
	s.unharmed(t)
}

// cutsOff opens streams of jack's on all replicas, cuts him off on one, and waits for the streams' ends.
func (s *site) cutsOff(t *testing.T, who *issuer, token string) {
	t.Helper()
	var streams []*lab.Subscriber
	for i := range 20 {
		options := withBearer(s.Replicas[i%len(s.Replicas)], token, "t")
		options.Once = true
		stream := lab.Subscribe(t, options)
		stream.WaitReady(t)
		streams = append(streams, stream)
	}
	root := who.bearer(t, jwt.MapClaims{"sub": "root", "admin": true})
	began := time.Now()
	if got := ask(t, s.Replicas[0], request{method: "DELETE", target: "/users/jack/streams"}.with(root)); got.status != http.StatusNoContent {
		t.Fatalf("cut off: %d %s", got.status, got.body)
	}
	for _, stream := range streams {
		_ = stream.WaitEnd(t, wait) // with the end of its body
	}
	limit := time.Second
	if lab.RaceDetector {
		limit *= 3
	}
	if took := time.Since(began); took > limit {
		t.Errorf("the streams ended after %v", took)
	}
}
