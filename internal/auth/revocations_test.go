package auth

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestRevocations_RefuseTokensFromBeforeTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewRevocations(time.Hour)
		cut := time.Now()
		v.Cut("jack", cut)
		v.Cut("jack", cut.Add(-time.Minute)) // late news of an earlier cut
		v.Load(map[string]time.Time{"jill": cut, "jack": cut.Add(-time.Hour)})
		for _, tt := range []struct {
			name string
			id   Identity
			want bool
		}{
			{"before", Identity{Subject: "jack", IssuedAt: cut.Add(-time.Second)}, true},
			{"at the cut", Identity{Subject: "jack", IssuedAt: cut}, true},
			{"after", Identity{Subject: "jack", IssuedAt: cut.Add(time.Second)}, false},
			{"without iat", Identity{Subject: "jack"}, true},
			{"loaded", Identity{Subject: "jill", IssuedAt: cut}, true},
			{"another user", Identity{Subject: "joe", IssuedAt: cut.Add(-time.Hour)}, false},
			{"without a subject", Identity{IssuedAt: cut.Add(-time.Hour)}, false},
			{"anonymous", Identity{anonymous: true}, false},
		} {
			if got := v.Refuses(tt.id); got != tt.want {
				t.Errorf("%s: Refuses = %v, want %v", tt.name, got, tt.want)
			}
		}
	})
}

func TestRevocations_ForgetsWhatOutlivedEveryToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewRevocations(time.Hour)
		at := time.Now()
		v.Cut("jack", at)
		time.Sleep(time.Hour + leeway)
		if !v.Refuses(Identity{Subject: "jack", IssuedAt: at}) {
			t.Error("forgotten while a token can still be valid")
		}
		time.Sleep(time.Second)
		if v.Refuses(Identity{Subject: "jack", IssuedAt: at}) {
			t.Error("still refused after every token has expired")
		}
		v.Cut("old", at)
		v.Cut("jill", time.Now())
		if _, kept := v.cuts["jack"]; kept || len(v.cuts) != 1 {
			t.Errorf("kept %v, want jill alone", v.cuts)
		}
	})
}

func TestRevocations_AreSafeForConcurrentUse(t *testing.T) {
	v := NewRevocations(time.Hour)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				user := fmt.Sprint("u", n%10)
				switch i % 3 {
				case 0:
					v.Cut(user, time.Now())
				case 1:
					v.Load(map[string]time.Time{user: time.Now()})
				default:
					v.Refuses(Identity{Subject: user})
				}
			}
		})
	}
	wg.Wait()
}

func TestJWT_RefusesRevokedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewRevocations(DefaultMaxAge)
		j := newJWT(t, JWTOptions{Key: testSecret, Revocations: v})
		old := sign(t, "HS256", []byte(testSecret), with(nil), nil)
		undated := sign(t, "HS256", []byte(testSecret), with(jwt.MapClaims{"iat": nil}), nil)
		for _, token := range []string{old, undated} {
			if _, err := j.Authenticate(bearerRequest(token)); err != nil {
				t.Fatalf("before the cut: %v", err)
			}
		}
		time.Sleep(time.Second)
		v.Cut("jack", time.Now())
		for _, token := range []string{old, undated} {
			_, err := j.Authenticate(bearerRequest(token))
			wantRefused(t, err, "the token has been revoked")
		}
		time.Sleep(time.Second)
		if _, err := j.Authenticate(bearerRequest(sign(t, "HS256", []byte(testSecret), with(nil), nil))); err != nil {
			t.Errorf("a token from after the cut: %v", err)
		}
	})
}

// Tokens say in wall-clock time when they end. A cut holds as long as they do, also when that clock is set meanwhile.
func TestRevocations_HoldThroughStepsOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Duration(0)
		clock := func() time.Time { return time.Now().Add(ahead) }
		v := NewRevocations(24 * time.Hour)
		v.clock = clock
		at := clock()
		v.Cut("jack", at)
		old := Identity{Subject: "jack", IssuedAt: at.Add(-time.Minute).Round(0)}
		time.Sleep(23 * time.Hour)
		ahead = -2 * time.Hour
		time.Sleep(2 * time.Hour) // 23 hours after the cut, by the clock
		v.Cut("jill", clock())    // sweeps
		if !v.Refuses(old) {
			t.Error("a token from before the cut is taken")
		}
	})
}

func TestRevocations_AreNotSweptWhileTheClockIsFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Duration(0)
		v := NewRevocations(24 * time.Hour)
		v.clock = func() time.Time { return time.Now().Add(ahead) }
		at := time.Now()
		v.Cut("jack", at)
		time.Sleep(time.Hour)
		ahead = 30 * time.Hour
		v.Cut("jill", v.clock())
		ahead = 0
		if !v.Refuses(Identity{Subject: "jack", IssuedAt: at}) {
			t.Error("forgotten for a clock that was wrong for a while")
		}
	})
}
