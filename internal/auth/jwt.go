package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// DefaultCookie is the cookie that holds a token when JWTOptions.Cookie is empty.
	DefaultCookie = "gateway_token"
	// DefaultMaxAge is the longest that a token may live when JWTOptions.MaxAge is zero.
	DefaultMaxAge = 24 * time.Hour
	// leeway is how far the issuer's clock may run ahead of ours, for nbf and iat. There is none for exp: streams
	// end at it, never after.
	leeway = 10 * time.Second
)

// JWTOptions are the settings of a JWT. One of Key, KeyFile and JWKSURL is required. The zero value of another field
// means its default in brackets.
type JWTOptions struct {
	Key     string // HMAC secret of at least 32 bytes, or a key, as findKeys reads it: RSA, ECDSA, Ed25519, public or private
	KeyFile string // a file that holds either
	JWKSURL string // https, or http on loopback

	Issuer     string        // what iss must be [anything]
	Audience   []string      // one of which aud must hold [anything]
	Cookie     string        // name of the cookie [DefaultCookie]
	Claim      string        // where subscribe, publish and admin are: a claim's name, or a JSON pointer [the token itself]
	MaxAge     time.Duration // the longest that a token may live [DefaultMaxAge]
	AllowNoExp bool          // a token without exp is valid for MaxAge from its iat, instead of being refused

	Revocations *Revocations // whose tokens from before a cut are refused [nobody's]
	Client      *http.Client // gets the key set [one of its own, which checks redirects]
	Log         *slog.Logger // [discards]
}

// JWT is the Authenticator of AUTH=jwt: a signed token says who the user is and what they may do.
type JWT struct {
	o      JWTOptions
	path   []string
	check  atomic.Pointer[verifier]
	remote *remoteKeys // also the keys of check, or nil

	reloading sync.Mutex
	seen      [sha256.Size]byte // of the key file, when it was read last; guarded by reloading
}

// A verifier checks signatures by keys, and takes no algorithms but theirs.
type verifier struct {
	keys   keySource
	parser *jwt.Parser
}

func newVerifier(keys keySource) *verifier {
	return &verifier{keys, jwt.NewParser(jwt.WithValidMethods(keys.algorithms()), jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation())} // validate does that, with a leeway for each claim of its own
}

// NewJWT reads the keys, or starts to get the key set; Close ends that. It waits for the key set for some seconds, or
// until ctx is done: a key set that is away then is no error, see Ready. Its error lists every fault of the options,
// and names the variable, never its value.
func NewJWT(ctx context.Context, o JWTOptions) (*JWT, error) {
	j, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if j.remote != nil {
		j.remote.start(ctx)
	}
	return j, nil
}

// Check returns the error that NewJWT would return, without asking for the key set.
func (o JWTOptions) Check() error {
	_, err := prepare(o)
	return err
}

func prepare(o JWTOptions) (*JWT, error) {
	if o.Cookie == "" {
		o.Cookie = DefaultCookie
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	j := &JWT{o: o}
	path, faults := parseClaimPath(o.Claim)
	j.path = path
	if o.MaxAge < 0 {
		faults = errors.Join(faults, errors.New("GATEWAY_JWT_MAX_AGE: less than zero"))
	}
	if faults = errors.Join(faults, j.openKeys()); faults != nil {
		return nil, faults
	}
	return j, nil
}

// Close ends what gets the key set, and waits for it. Authenticate works on with the keys that are there.
func (j *JWT) Close() error {
	if j.remote != nil {
		j.remote.close()
	}
	return nil
}

// Reload reads the key file again, if there is one, and takes its keys over if it has changed. One that cannot be used
// leaves the keys as they are. Each change is logged once.
func (j *JWT) Reload() {
	if j.o.KeyFile == "" {
		return
	}
	j.reloading.Lock()
	defer j.reloading.Unlock()
	keys, seen, err := readKeys(j.o)
	if seen == j.seen {
		return
	}
	j.seen = seen
	if err != nil {
		j.o.Log.Warn("the key file cannot be used; the keys known before stay", "err", err)
		return
	}
	j.check.Store(newVerifier(keys))
	j.o.Log.Info("the key file has been read again", "keys", len(keys))
}

// Ready returns an error as long as no key has been loaded: no token can be judged.
func (j *JWT) Ready() error {
	if j.remote != nil && !j.remote.loaded() {
		return ErrKeysUnavailable
	}
	return nil
}

// Authenticate checks the request's token. Its errors are, or wrap, the sentinels of this package.
//
// With a token that came as a cookie, ask ForeignOrigin before anything is done for it.
func (j *JWT) Authenticate(r *http.Request) (Identity, error) {
	token, from, err := tokenFromRequest(r, j.o.Cookie)
	if err != nil {
		return Identity{}, err
	}
	c := claims{path: j.path}
	check := j.check.Load()
	parsed, err := check.parser.ParseWithClaims(token, &c, keysFor(r.Context(), check.keys))
	if err != nil {
		return Identity{}, refusal(err)
	}
	if err := j.validate(&c, time.Now()); err != nil {
		return Identity{}, err
	}
	id := Identity{
		Subject: c.Subject, Admin: c.admin, Source: from, Expires: c.ExpiresAt.Time,
		subscribe: c.subscribe, publish: c.publish,
	}
	if c.IssuedAt != nil {
		id.IssuedAt = c.IssuedAt.Time
	}
	if c.Subject == "" {
		id.client = c.publisher(parsed.Header)
	}
	if j.o.Revocations != nil && j.o.Revocations.Refuses(id) {
		return Identity{}, refuse("the token has been revoked")
	}
	return id, nil
}

func (j *JWT) openKeys() error {
	given := 0
	for _, setting := range []string{j.o.Key, j.o.KeyFile, j.o.JWKSURL} {
		if setting != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("one of GATEWAY_JWT_KEY, GATEWAY_JWT_KEY_FILE and GATEWAY_JWKS_URL is required, and only one")
	}
	if j.o.JWKSURL == "" {
		keys, seen, err := readKeys(j.o)
		j.check.Store(newVerifier(keys))
		j.seen = seen
		return err
	}
	remote, err := newRemoteKeys(j.o)
	if err != nil {
		return err
	}
	j.remote = remote
	j.check.Store(newVerifier(remote))
	return nil
}

// keysFor returns what finds the keys for a token by its header. Only alg and kid are looked at: keys and places of
// keys that a token brings along (jwk, jku, x5c, x5u) are never used.
func keysFor(ctx context.Context, source keySource) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515, section 4.1.11: we understand no extension
			return nil, refuse("the token needs an extension that is not supported")
		}
		if encoded, ok := t.Header["b64"]; ok && encoded != true { // RFC 7797
			return nil, refuse("the token needs an extension that is not supported")
		}
		var kid *string
		if value, ok := t.Header["kid"]; ok {
			s, isText := value.(string)
			if !isText || len(s) > maxKeyID {
				return nil, refuse("the token's kid is malformed")
			}
			kid = &s
		}
		keys, err := source.find(ctx, kid, t.Method.Alg())
		if err != nil {
			return nil, err
		}
		return jwt.VerificationKeySet{Keys: keys}, nil
	}
}

// refusal turns an error of the parser into one of ours: the parser's own may repeat parts of the token.
func refusal(err error) error {
	var refused *TokenError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, ErrKeysUnavailable):
		return ErrKeysUnavailable
	case errors.Is(err, errUnknownKey):
		return refuse("the token is signed with an unknown key")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse("the token is malformed")
	default:
		return refuse("the token is not signed with an accepted key and algorithm")
	}
}

// validate checks the claims of a token whose signature is right, and fills in when it expires.
func (j *JWT) validate(c *claims, now time.Time) error {
	if c.IssuedAt != nil && c.IssuedAt.After(now.Add(leeway)) {
		return refuse("the token was issued in the future")
	}
	if c.ExpiresAt == nil {
		switch {
		case !j.o.AllowNoExp:
			return refuse("the token has no exp")
		case c.IssuedAt == nil: // it would never end, and outlive every revocation
			return refuse("the token has neither exp nor iat")
		}
		c.ExpiresAt = jwt.NewNumericDate(c.IssuedAt.Add(j.o.MaxAge))
	}
	born := now
	if c.IssuedAt != nil {
		born = c.IssuedAt.Time
	}
	switch {
	case !now.Before(c.ExpiresAt.Time):
		return refuse("the token has expired")
	case c.ExpiresAt.Sub(born) > j.o.MaxAge:
		return refuse(fmt.Sprintf("the token lives longer than %s", j.o.MaxAge))
	case c.NotBefore != nil && c.NotBefore.After(now.Add(leeway)):
		return refuse("the token is not valid yet")
	case j.o.Issuer != "" && c.Issuer != j.o.Issuer:
		return refuse("wrong issuer")
	case len(j.o.Audience) > 0 && !slices.ContainsFunc(c.Audience, j.expects):
		return refuse("wrong audience")
	}
	return nil
}

func (j *JWT) expects(audience string) bool { return slices.Contains(j.o.Audience, audience) }
