package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "a secret for tests that is long enough, 0123456789"

// newJWT opens a JWT for the test's time.
func newJWT(t *testing.T, o JWTOptions) *JWT {
	t.Helper()
	j, err := NewJWT(t.Context(), o)
	if err != nil {
		t.Fatalf("NewJWT: %v", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return j
}

// with returns jack's good claims with changes; a nil value takes a claim away.
func with(changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "jack", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token with an algorithm and key, and header fields besides.
func sign(t *testing.T, alg string, key any, c jwt.Claims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), c)
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatalf("sign with %s: %v", alg, err)
	}
	return signed
}

// signText makes a token of header and payload as they are, signed with HS256.
func signText(t *testing.T, header, payload string) string {
	t.Helper()
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	sig, err := jwt.SigningMethodHS256.Sign(text, []byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + enc.EncodeToString(sig)
}

func bearerRequest(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/subscribe", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// wantRefused checks that err refuses a token with this detail.
func wantRefused(t *testing.T, err error, detail string) {
	t.Helper()
	if !errors.Is(err, ErrBadToken) || Detail(err) != detail {
		t.Errorf("got error %v, want a refusal: %s", err, detail)
	}
}

type keyPair struct {
	alg             string
	private         crypto.Signer
	privatePEM, pem string
}

// newKey makes a key pair for an algorithm.
func newKey(t *testing.T, alg string) keyPair {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		private, err = rsa.GenerateKey(rand.Reader, minRSA)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{
		alg: alg, private: private,
		privatePEM: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		pem:        string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}
}

func TestNone_LetsEverybodyDoEverything(t *testing.T) {
	id, err := None{}.Authenticate(httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	if !id.Anonymous() || !id.Admin || !id.MaySubscribe("t") || !id.MayPublish("t") ||
		!id.MaySubscribeInbox("jack") || !id.MayPublishInbox("jack") {
		t.Errorf("anonymous identity %+v may not do everything", id)
	}
	if id.MaySubscribe("@jack") || id.MayPublish("@jack") {
		t.Error("an inbox passed for a topic")
	}
}

func TestDetail_ShowsNoCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{refuse("the token has expired"), "the token has expired"},
		{ErrNoToken, ErrNoToken.Error()},
		{errors.Join(errors.New("dial 10.0.0.1"), ErrKeysUnavailable), ErrKeysUnavailable.Error()},
		{errors.New("a cause"), ErrBadToken.Error()},
	} {
		if got := Detail(tt.err); got != tt.want {
			t.Errorf("Detail(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
