package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJWT_RefusesMalformedClaims(t *testing.T) {
	j := newJWT(t, JWTOptions{Key: testSecret, AllowNoExp: true})
	const header = `{"alg":"HS256"}`
	exp := time.Now().Add(time.Hour).Unix()
	good := func(more string) string { return fmt.Sprintf(`{"exp":%d%s}`, exp, more) }
	inner := signText(t, header, good(`,"sub":"jack"`))
	for _, tt := range []struct{ name, payload, want string }{
		{"no object but a list", `["jack"]`, "the token's claims are no JSON object"},
		{"a token in the token", inner, malformed},
		{"a token in the token, as JSON", `"` + inner + `"`, "the token's claims are no JSON object"},
		{"null", `null`, "the token has neither exp nor iat"},
		{"nothing", ``, malformed},
		{"not JSON", `{"sub":`, malformed},
		{"two objects", good("") + good(""), malformed},
		{"the same claim twice", good(`,"sub":"jack","sub":"jill"`), "the token holds a claim twice"},
		{"the same claim twice, escaped", good(`,"sub":"jack","\u0073ub":"jill"`), "the token holds a claim twice"},
		{"exp twice", good(`,"exp":9999999999`), "the token holds a claim twice"},
		{"sub a number", good(`,"sub":7`), "sub must be a string"},
		{"sub a list", good(`,"sub":["jack"]`), "sub must be a string"},
		{"sub an object", good(`,"sub":{"a":1}`), "sub must be a string"},
		{"sub too long", good(`,"sub":"` + strings.Repeat("x", 256) + `"`), "sub is no valid name of a user"},
		{"sub with a line break", good(`,"sub":"a\nb"`), "sub is no valid name of a user"},
		{"sub with NUL", good(`,"sub":"a\u0000"`), "sub is no valid name of a user"},
		{"sub not UTF-8", good(`,"sub":"` + "\xff" + `"`), "the token is not UTF-8"},
		{"sub half a surrogate pair", good(`,"sub":"\ud800"`), "sub is no valid name of a user"},
		{"exp text", `{"exp":"9999999999"}`, "exp must be a number of seconds"},
		{"exp true", `{"exp":true}`, "exp must be a number of seconds"},
		{"exp below zero", `{"exp":-1}`, "exp is no date"},
		{"exp far out", `{"exp":1e300}`, "exp is no date"},
		{"exp beyond floats", `{"exp":1e400}`, "exp must be a number of seconds"},
		{"iat text", good(`,"iat":"now"`), "iat must be a number of seconds"},
		{"nbf an object", good(`,"nbf":{}`), "nbf must be a number of seconds"},
		{"aud a number", good(`,"aud":1`), "aud must be a list of strings"},
		{"iss a list", good(`,"iss":["a"]`), "iss must be a string"},
		{"subscribe text", good(`,"subscribe":"*"`), "subscribe must be a list of strings"},
		{"subscribe mixed", good(`,"subscribe":["a",1]`), "subscribe must be a list of strings"},
		{"publish an object", good(`,"publish":{"0":"*"}`), "publish must be a list of strings"},
		{"publish nested", good(`,"publish":[["*"]]`), "publish must be a list of strings"},
		{"admin text", good(`,"admin":"true"`), "admin must be true or false"},
		{"admin a number", good(`,"admin":1`), "admin must be true or false"},
		{"deep", good(`,"x":` + strings.Repeat("[", 11000)), "the token is malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := j.Authenticate(bearerRequest(signText(t, header, tt.payload)))
			wantRefused(t, err, tt.want)
		})
	}
}

func TestJWT_ReadsClaimsByTheirExactName(t *testing.T) {
	j := newJWT(t, JWTOptions{Key: testSecret})
	id, err := j.Authenticate(bearerRequest(signText(t, `{"alg":"HS256"}`, fmt.Sprintf(
		`{"exp":%d,"sub":"jack","SUB":"jill","Admin":true,"SUBSCRIBE":["*"],"publish":null,"subscribe":["a",null]}`, time.Now().Add(time.Hour).Unix()))))
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject != "jack" || id.Admin || !id.MaySubscribe("a") || id.MaySubscribe("b") || id.MayPublish("a") {
		t.Errorf("got %+v, want jack with the topic a alone", id)
	}
}

func TestJWT_FindsGrantsInANestedClaim(t *testing.T) {
	const grants = `{"subscribe":["news"],"publish":["@*"],"admin":true}`
	for _, tt := range []struct {
		name, claim, payload string
		granted              bool
		detail               string // empty: accepted
	}{
		{"top level", "", `"subscribe":["news"],"publish":["@*"],"admin":true`, true, ""},
		{"a URL", "https://example.com/gateway", `"https://example.com/gateway":` + grants, true, ""},
		{"a name with a dot", "realm.gateway", `"realm.gateway":` + grants, true, ""},
		{"a dot does not nest", "realm.gateway", `"realm":{"gateway":` + grants + `}`, false, ""},
		{"nested", "/realm/gateway", `"realm":{"gateway":` + grants + `}`, true, ""},
		{"escaped", "/a~1b/c~0d", `"a/b":{"c~d":` + grants + `}`, true, ""},
		{"top level does not count", "gateway", `"subscribe":["news"],"publish":["@*"],"admin":true`, false, ""},
		{"absent", "gateway", `"x":1`, false, ""},
		{"absent further down", "/realm/gateway", `"realm":{}`, false, ""},
		{"null on the way", "/realm/gateway", `"realm":null`, false, ""},
		{"no object", "gateway", `"gateway":"*"`, false, "the token's claims are no JSON object"},
		{"no object on the way", "/realm/gateway", `"realm":[` + grants + `]`, false, "the token's claims are no JSON object"},
		{"twice", "gateway", `"gateway":{"admin":false,"admin":true}`, false, "the token holds a claim twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJWT(t, JWTOptions{Key: testSecret, Claim: tt.claim})
			id, err := j.Authenticate(bearerRequest(signText(t, `{"alg":"HS256"}`,
				fmt.Sprintf(`{"exp":%d,"sub":"jack",%s}`, time.Now().Add(time.Hour).Unix(), tt.payload))))
			if tt.detail != "" {
				wantRefused(t, err, tt.detail)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []bool{id.MaySubscribe("news"), id.MayPublishInbox("jill"), id.Admin}
			if !slices.Equal(got, []bool{tt.granted, tt.granted, tt.granted}) || !id.MaySubscribeInbox("jack") {
				t.Errorf("granted %v, own inbox %v, want %v and the inbox", got, id.MaySubscribeInbox("jack"), tt.granted)
			}
		})
	}
}

func TestParseClaimPath_RefusesEmptyNames(t *testing.T) {
	for _, setting := range []string{"/", "/a/", "//a"} {
		if _, err := parseClaimPath(setting); err == nil || !strings.Contains(err.Error(), "GATEWAY_JWT_CLAIM") {
			t.Errorf("parseClaimPath(%q): got error %v, want one that names the variable", setting, err)
		}
	}
}
