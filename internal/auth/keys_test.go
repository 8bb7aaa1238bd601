package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJWT_AcceptsTheAlgorithmsOfItsKey(t *testing.T) {
	all := []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	rs := newKey(t, "RS256")
	keys := map[string]keyPair{}
	for _, alg := range []string{"ES256", "ES384", "ES512", "EdDSA"} {
		keys[alg] = newKey(t, alg)
	}
	signer := func(alg string) any {
		switch alg[:2] {
		case "HS":
			return []byte(testSecret)
		case "RS", "PS":
			return rs.private
		}
		return keys[alg].private
	}
	for _, tt := range []struct {
		name, key string
		algs      []string
	}{
		{"secret", testSecret, all[:3]},
		{"RSA", rs.pem, all[3:9]},
		{"RSA, private", rs.privatePEM, all[3:9]},
		{"P-256", keys["ES256"].pem, []string{"ES256"}},
		{"P-384", keys["ES384"].privatePEM, []string{"ES384"}},
		{"P-521", keys["ES512"].pem, []string{"ES512"}},
		{"Ed25519", keys["EdDSA"].privatePEM, []string{"EdDSA"}},
		{"two keys", keys["EdDSA"].pem + keys["ES256"].pem, []string{"ES256", "EdDSA"}},
		{"without line breaks", strings.ReplaceAll(rs.pem, "\n", `\n`), all[3:9]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJWT(t, JWTOptions{Key: tt.key})
			for _, alg := range all {
				_, err := j.Authenticate(bearerRequest(sign(t, alg, signer(alg), with(nil), nil)))
				if slices.Contains(tt.algs, alg) {
					if err != nil {
						t.Errorf("%s: %v", alg, err)
					}
				} else if wantRefused(t, err, notSigned); t.Failed() {
					t.Fatal(alg)
				}
			}
		})
	}
}

// An ECDSA key is for the one algorithm of its curve, also where the arithmetic would work out.
func TestJWT_AcceptsOneAlgorithmPerCurve(t *testing.T) {
	first, second := newKey(t, "ES256"), newKey(t, "ES256")
	j := newJWT(t, JWTOptions{Key: first.pem})
	_, err := j.Authenticate(bearerRequest(sign(t, "ES256", second.private, with(nil), nil)))
	wantRefused(t, err, notSigned)
}

func TestJWT_ReadsKeyFiles(t *testing.T) {
	ed := newKey(t, "EdDSA")
	for name, tt := range map[string]struct {
		content, alg string
		key          any
	}{
		"secret":                   {testSecret, "HS256", []byte(testSecret)},
		"secret with a line break": {testSecret + "\n", "HS256", []byte(testSecret)},
		"secret with CR LF":        {testSecret + "\r\n", "HS256", []byte(testSecret)},
		"spaces belong to it":      {" " + testSecret + " ", "HS256", []byte(" " + testSecret + " ")},
		"PEM":                      {"a comment\n" + ed.pem, "EdDSA", ed.private},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			j := newJWT(t, JWTOptions{KeyFile: file})
			if _, err := j.Authenticate(bearerRequest(sign(t, tt.alg, tt.key, with(nil), nil))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewJWT_RefusesBadKeysWithoutShowingThem(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, es := newKey(t, "RS256"), newKey(t, "ES256")
	certificate := selfSigned(t, es)
	block, _ := pem.Decode([]byte(rs.pem))
	asPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for _, tt := range []struct{ name, key, want string }{
		{"short secret", "31 bytes, which is one too few..", "at least 32 bytes"},
		{"JSON of a key", `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2","e":"AQAB"}`, "JSON Web Key"},
		{"SSH key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJtTZ0bQ jack@host", "form that is not read"},
		{"DER, cut off", string(block.Bytes[:len(block.Bytes)-1]), "form that is not read"},
		{"base64, cut off", base64.StdEncoding.EncodeToString(decodePEM(t, es.pem))[:60], "form that is not read"},
		{"weak RSA key", asPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&weak.PublicKey)), "at least 2048 bits"},
		{"another curve", asPEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p224))), "a kind of key that does not sign"},
		{"damaged", strings.Replace(rs.pem, "-----END", "----END", 1), "damaged"},
		{"damaged before a good one", strings.Replace(rs.pem, "-----END", "----END", 1) + es.pem, "damaged"},
		{"garbage in it", asPEM("PRIVATE KEY", []byte("garbage, which is the secret")), "the PRIVATE KEY in it cannot be read"},
		{"encrypted", asPEM("ENCRYPTED PRIVATE KEY", []byte("secret")), "of a type that is not read"},
		{"unknown type", asPEM("HUNTER2", []byte("secret")), "of a type that is not read"},
		{"parameters only", asPEM("EC PARAMETERS", []byte("x")), "no key in the PEM text"},
		{"a chain", certificate + certificate, "more than one certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := tt.key
			if tt.name == "short secret" {
				key = key[:31]
			}
			_, err := NewJWT(t.Context(), JWTOptions{Key: key})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "GATEWAY_JWT_KEY") {
				t.Fatalf("got error %v, want one that names GATEWAY_JWT_KEY and says %q", err, tt.want)
			}
			for _, part := range []string{"hunter2", "garbage", "secret.", "AAAA", "agoeb", "bytes, which"} {
				if strings.Contains(strings.ToLower(err.Error()), part) {
					t.Errorf("error %q shows a part of the key", err)
				}
			}
		})
	}
	if _, err := NewJWT(t.Context(), JWTOptions{Key: certificate}); err != nil {
		t.Errorf("one certificate: %v", err)
	}
}

func TestNewJWT_ListsEveryFault(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tt := range []struct {
		name string
		o    JWTOptions
		want []string
	}{
		{"no key", JWTOptions{}, []string{"one of GATEWAY_JWT_KEY, GATEWAY_JWT_KEY_FILE and GATEWAY_JWKS_URL"}},
		{"two keys", JWTOptions{Key: testSecret, JWKSURL: "https://id.example.com"}, []string{"and only one"}},
		{"no file", JWTOptions{KeyFile: missing}, []string{"GATEWAY_JWT_KEY_FILE", "no such file"}},
		{"three faults", JWTOptions{Key: "short", Claim: "/", MaxAge: -1}, []string{"GATEWAY_JWT_KEY:", "GATEWAY_JWT_CLAIM", "GATEWAY_JWT_MAX_AGE"}},
		{"not a URL", JWTOptions{JWKSURL: "https://jack:hunter2@[::1"}, []string{"GATEWAY_JWKS_URL"}},
		{"no host", JWTOptions{JWKSURL: "/jwks.json"}, []string{"GATEWAY_JWKS_URL"}},
		{"not https", JWTOptions{JWKSURL: "http://id.example.com/jwks.json"}, []string{"GATEWAY_JWKS_URL: https is required"}},
		{"not https, like loopback", JWTOptions{JWKSURL: "http://localhost.example.com/"}, []string{"https is required"}},
		{"another scheme", JWTOptions{JWKSURL: "file://localhost/etc/passwd"}, []string{"https is required"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewJWT(t.Context(), tt.o)
			if err == nil {
				t.Fatal("got no error")
			}
			if checked := tt.o.Check(); checked == nil || checked.Error() != err.Error() {
				t.Errorf("Check says %v, NewJWT says %v", checked, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "short") {
				t.Errorf("error %q shows a secret", err)
			}
		})
	}
}

func TestJWTOptions_CheckAsksForNothing(t *testing.T) {
	s := &keyServer{}
	o := JWTOptions{JWKSURL: "https://id.example.com/jwks.json", Client: &http.Client{Transport: s}}
	if err := o.Check(); err != nil || s.count() != 0 {
		t.Errorf("got error %v after asking %d times, want none without asking", err, s.count())
	}
}

func selfSigned(t *testing.T, k keyPair) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.private.Public(), k.private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func must(der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return der
}
