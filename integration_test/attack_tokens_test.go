package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newPublicKeyIssuer is an issuer whose gateways know but its public key.
func newPublicKeyIssuer(t *testing.T) (who *issuer, text string) {
	t.Helper()
	key := newRSA(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return &issuer{method: jwt.SigningMethodRS256, key: key, setting: "GATEWAY_JWT_KEY=" + text}, text
}

// notSigned is what is said of a token whose signature is not right.
const notSigned = "not signed with an accepted key and algorithm"

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// withToken subscribes with a token in the header.
func withToken(token string) request {
	return request{target: "/subscribe?topics=alive", header: []string{"Authorization: Bearer " + token}}
}

// forgedTokens are requests with tokens that the issuer has not signed, by what is wrong with them, and what is said of them.
func forgedTokens(t *testing.T, who *issuer, public string, good jwt.MapClaims) []attack {
	t.Helper()
	head, rest, _ := strings.Cut(who.token(t, good), ".")
	payload, signature, _ := strings.Cut(rest, ".")
	block, _ := pem.Decode([]byte(public))
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hmac := func(method jwt.SigningMethod, key string) string {
		return sign(t, method, []byte(key), complete(good), nil)
	}
	var attacks []attack
	for _, forged := range []struct{ name, token, says string }{
		{"alg none", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, complete(good), nil), notSigned},
		{"alg none with a signature", encode(`{"alg":"none"}`) + "." + payload + "." + signature, notSigned},
		{"alg nOnE", encode(`{"alg":"nOnE","typ":"JWT"}`) + "." + payload + ".", notSigned},
		{"alg missing", encode(`{"typ":"JWT"}`) + "." + payload + "." + signature, notSigned},
		{"alg a list", encode(`{"alg":["RS256"]}`) + "." + payload + "." + signature, notSigned},
		{"alg twice", encode(`{"alg":"RS256","alg":"none"}`) + "." + payload + ".", notSigned},
		{"the PEM as HMAC secret, HS256", hmac(jwt.SigningMethodHS256, public), notSigned},
		{"the PEM as HMAC secret, HS384", hmac(jwt.SigningMethodHS384, public), notSigned},
		{"the PEM as HMAC secret, HS512", hmac(jwt.SigningMethodHS512, public), notSigned},
		{"the PEM without line break as HMAC secret", hmac(jwt.SigningMethodHS256, strings.TrimSpace(public)), notSigned},
		{"the DER as HMAC secret", hmac(jwt.SigningMethodHS256, string(block.Bytes)), notSigned},
		{"an empty HMAC secret", hmac(jwt.SigningMethodHS256, ""), notSigned},
		{"another RSA key", sign(t, who.method, newRSA(t), complete(good), nil), notSigned},
		{"another kind of key", sign(t, jwt.SigningMethodES256, elliptical, complete(good), nil), notSigned},
		{"another payload", head + "." + encode(`{"sub":"jill","admin":true,"exp":9999999999}`) + "." + signature, notSigned},
		{"no signature", head + "." + payload + ".", notSigned},
		{"half a signature", head + "." + payload + "." + signature[:100], notSigned},
		{"a signature with bits behind its end", head + "." + payload + "." + signature[:len(signature)-1] + "_", "the token is malformed"},
		{"two parts", head + "." + payload, "the token is malformed"},
		{"five parts", head + "." + payload + "." + signature + "..x", "the token is malformed"},
		{"no JSON", encode("hello") + "." + encode("world") + "." + signature, "the token is malformed"},
		{"a line break in it", head + "." + payload + "." + signature[:8] + "%0A" + signature[8:], "the token is malformed"},
		{"20 KB", strings.Repeat("a", 20<<10), "larger than 16 KiB"},
	} {
		attacks = append(attacks, attack{forged.name, withToken(forged.token), http.StatusUnauthorized, forged.says})
	}
	return attacks
}

func TestAttack_ForgedTokens(t *testing.T) {
	who, public := newPublicKeyIssuer(t)
	s := attackable(t, 2, who, lab.StartRedis(t).Env())
	good := jwt.MapClaims{"sub": "jack", "subscribe": []string{"*"}}
	if got := ask(t, s.Replicas[0], withToken(who.token(t, good))); got.status != http.StatusOK {
		t.Fatalf("the good token: %d %s", got.status, got.body)
	}
	attacks := forgedTokens(t, who, public, good)
	huge := strings.Repeat("a", 1<<20)
	attacks = append(attacks,
		attack{"none at all", request{target: "/subscribe?topics=alive"}, http.StatusUnauthorized, "a token is required"},
		attack{"an empty one", request{target: "/subscribe?topics=alive", header: []string{"Authorization: Bearer "}}, http.StatusUnauthorized, "holds no token"},
		attack{"another scheme", request{target: "/subscribe?topics=alive", header: []string{"Authorization: Basic amFjazpqYWNr"}}, http.StatusUnauthorized, "a token is required"},
		attack{"1 MB in the header", withToken(huge), http.StatusRequestHeaderFieldsTooLarge, byServer},
		attack{"1 MB in a cookie", request{target: "/subscribe?topics=alive", header: []string{"Cookie: gateway_token=" + huge}}, http.StatusRequestHeaderFieldsTooLarge, byServer},
		attack{"1 MB in the query", request{target: "/subscribe?topics=alive&access_token=" + huge}, http.StatusRequestHeaderFieldsTooLarge, byServer},
	)
	s.repels(t, attacks)
}

// Whatever a token's header says of keys, the gateway's own key decides.
func TestAttack_TokensThatBringTheirKey(t *testing.T) {
	who, _ := newPublicKeyIssuer(t)
	var asked atomic.Int32
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer attacker.Close()
	s := attackable(t, 1, who)
	own := newRSA(t)
	jwk := map[string]any{
		"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(own.N.Bytes()),
	}
	var attacks []attack
	for name, header := range map[string]map[string]any{
		"jwk":                     {"jwk": jwk},
		"jku":                     {"jku": attacker.URL + "/jwks.json", "kid": "x"},
		"x5u":                     {"x5u": attacker.URL + "/cert.pem"},
		"kid is a URL":            {"kid": attacker.URL + "/jwks.json"},
		"kid is a path":           {"kid": "../../../../../../dev/null"},
		"kid is SQL":              {"kid": "x' UNION SELECT 'key"},
		"kid is a command":        {"kid": "|/usr/bin/id"},
		"kid is a number":         {"kid": 0},
		"kid is null":             {"kid": nil},
		"kid is an object":        {"kid": map[string]any{"a": 1}},
		"kid is huge":             {"kid": strings.Repeat("k", 10_000)},
		"kid with control chars":  {"kid": "a\r\nb\x00"},
		"crit":                    {"crit": []string{"exp"}},
		"b64":                     {"b64": false, "crit": []string{"b64"}},
		"compressed":              {"zip": "DEF"},
		"encrypted, says the typ": {"typ": "JWE", "cty": "JWT"},
	} {
		forged := sign(t, who.method, own, complete(jwt.MapClaims{"sub": "jack", "subscribe": []string{"*"}}), header)
		attacks = append(attacks, attack{name, withToken(forged), http.StatusUnauthorized, ""})
	}
	s.repels(t, attacks)
	if n := asked.Load(); n != 0 {
		t.Errorf("the gateway has asked the attacker's server %d times", n)
	}
}

func TestAttack_TokensThatDoNotHold(t *testing.T) {
	plain, strict := newSecretIssuer(), newSecretIssuer()
	strict.always = jwt.MapClaims{"iss": "https://id.example", "aud": "gateway"}
	refused := func(name string, who *issuer, changes jwt.MapClaims, says string) attack {
		claims := jwt.MapClaims{"sub": "jack", "subscribe": []string{"*"}}
		maps.Copy(claims, changes)
		return attack{name, withToken(who.token(t, claims)), http.StatusUnauthorized, says}
	}
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	attackable(t, 1, plain).repels(t, []attack{
		refused("expired", plain, jwt.MapClaims{"exp": in(-time.Second), "iat": in(-time.Hour)}, "has expired"),
		refused("expired long ago", plain, jwt.MapClaims{"exp": 0}, "has expired"),
		refused("no exp", plain, jwt.MapClaims{"exp": nil}, "has no exp"),
		refused("exp a text", plain, jwt.MapClaims{"exp": "9999999999"}, "exp must be a number"),
		refused("exp beyond all time", plain, jwt.MapClaims{"exp": 1e300}, "exp is no date"),
		refused("exp negative", plain, jwt.MapClaims{"exp": -1}, "exp is no date"),
		refused("lives longer than a day", plain, jwt.MapClaims{"exp": in(25 * time.Hour)}, "lives longer than 24h"),
		refused("not valid yet", plain, jwt.MapClaims{"nbf": in(time.Minute)}, "not valid yet"),
		refused("issued in the future", plain, jwt.MapClaims{"iat": in(time.Minute)}, "issued in the future"),
		refused("sub a number", plain, jwt.MapClaims{"sub": 7}, "sub must be"),
		refused("sub a list", plain, jwt.MapClaims{"sub": []string{"jack", "jill"}}, "sub must be"),
		refused("sub with control characters", plain, jwt.MapClaims{"sub": "ja\nck"}, "sub is no valid name"),
		refused("sub with a text direction override", plain, jwt.MapClaims{"sub": "ja\u202eck"}, "sub is no valid name"),
		refused("sub of a kilobyte", plain, jwt.MapClaims{"sub": strings.Repeat("j", 1024)}, "sub is no valid name"),
		refused("admin a text", plain, jwt.MapClaims{"admin": "true"}, "admin must be"),
		refused("subscribe a text", plain, jwt.MapClaims{"subscribe": "*"}, "subscribe must be"),
		refused("subscribe a list of numbers", plain, jwt.MapClaims{"subscribe": []int{1}}, "subscribe must be"),
	})
	attackable(
		t, 1, strict, "GATEWAY_JWT_ISSUER=https://id.example", "GATEWAY_JWT_AUDIENCE=gateway,events",
	).repels(t, []attack{
		refused("another issuer", strict, jwt.MapClaims{"iss": "https://id.example.evil"}, "wrong issuer"),
		refused("issuer with a slash", strict, jwt.MapClaims{"iss": "https://id.example/"}, "wrong issuer"),
		refused("no issuer", strict, jwt.MapClaims{"iss": nil}, "wrong issuer"),
		refused("another audience", strict, jwt.MapClaims{"aud": []string{"other", "GATEWAY"}}, "wrong audience"),
		refused("no audience", strict, jwt.MapClaims{"aud": nil}, "wrong audience"),
	})
}

// Claims may differ in case, come twice, or hide grants where they are not looked for.
func TestAttack_ClaimsInDisguise(t *testing.T) {
	who := newSecretIssuer()
	who.always = jwt.MapClaims{"gateway": jwt.MapClaims{"subscribe": []string{"alive"}, "publish": []string{"alive"}}}
	s := attackable(t, 1, who, "GATEWAY_JWT_CLAIM=/gateway")
	until := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	raw := func(payload string) request {
		signed := encode(`{"alg":"HS256"}`) + "." + encode(strings.ReplaceAll(payload, "UNTIL", until))
		mac, err := jwt.SigningMethodHS256.Sign(signed, who.key)
		if err != nil {
			t.Fatal(err)
		}
		return withToken(signed + "." + base64.RawURLEncoding.EncodeToString(mac))
	}
	if got := ask(t, s.Replicas[0], raw(`{"exp":UNTIL,"gateway":{"subscribe":["*"]}}`)); got.status != http.StatusOK {
		t.Fatalf("the good token: %d %s", got.status, got.body)
	}
	s.repels(t, []attack{
		{"sub twice", raw(`{"sub":"jack","sub":"jill","exp":UNTIL,"gateway":{"subscribe":["*"]}}`), http.StatusUnauthorized, "holds a claim twice"},
		{"exp twice", raw(`{"sub":"jack","exp":1,"exp":UNTIL,"gateway":{"subscribe":["*"]}}`), http.StatusUnauthorized, "holds a claim twice"},
		{"grants twice", raw(`{"exp":UNTIL,"gateway":{},"gateway":{"subscribe":["*"]}}`), http.StatusUnauthorized, "holds a claim twice"},
		{"not UTF-8", raw("{\"sub\":\"j\xff\",\"exp\":UNTIL,\"gateway\":{\"subscribe\":[\"*\"]}}"), http.StatusUnauthorized, "not UTF-8"},
		{"something behind it", raw(`{"exp":UNTIL,"gateway":{"subscribe":["*"]}} {"admin":true}`), http.StatusUnauthorized, "malformed"},
		{"a list", raw(`[{"exp":UNTIL,"gateway":{"subscribe":["*"]}}]`), http.StatusUnauthorized, "no JSON object"},
		{"exp in capitals", raw(`{"EXP":UNTIL,"gateway":{"subscribe":["*"]}}`), http.StatusUnauthorized, "has no exp"},
		{"grants in capitals", raw(`{"exp":UNTIL,"Gateway":{"subscribe":["*"]}}`), http.StatusForbidden, "does not allow"},
		{"grants outside of the claim", raw(`{"exp":UNTIL,"subscribe":["*"],"admin":true}`), http.StatusForbidden, "does not allow"},
		{"grants null", raw(`{"exp":UNTIL,"gateway":null}`), http.StatusForbidden, "does not allow"},
		{"a star in the middle", raw(`{"exp":UNTIL,"gateway":{"subscribe":["a*e"]}}`), http.StatusForbidden, "does not allow"},
		{"an empty pattern", raw(`{"exp":UNTIL,"gateway":{"subscribe":[""]}}`), http.StatusForbidden, "does not allow"},
	})
}
