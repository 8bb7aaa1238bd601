package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	jwksInterval = 5 * time.Minute  // between two looks at the key set: so long does a withdrawn key still count
	jwksRetry    = time.Second      // after a first failed look; doubled with each further one
	jwksRetryMax = 30 * time.Second //
	jwksSpacing  = 5 * time.Second  // the least between two looks, whatever tokens ask for
	jwksTimeout  = 5 * time.Second  // of one look
	jwksStart    = 3 * time.Second  // how long the start waits for the first
	maxKeyID     = 256              // bytes of a kid
	maxRedirects = 3
)

// remoteKeys are the keys of a key set (RFC 7517) at a URL. One goroutine looks at it from time to time, and when a
// token names an unknown key. While the URL is away, or answers with something that is no key set, the old ones stay; a set
// that holds no key any more takes the last one away.
//
// jwkset's own HTTP storage, which keyfunc builds on, is not used: it cannot be waited for, reads answers without a
// bound, forgets all keys for "{}", takes symmetric keys from a public document, gives up on a set for one odd key, and
// looks again only after the full interval when the first look failed.
type remoteKeys struct {
	url    string
	client *http.Client
	log    *slog.Logger
	stop   context.CancelFunc
	asked  chan struct{} // one look that a token asked for; the sender has set looking
	gone   chan struct{} // closed when run has returned

	mu      sync.Mutex
	keys    []key         // guarded by mu; replaced, never changed; nil until there was one
	failed  error         // guarded by mu; of the latest look
	tried   time.Time     // guarded by mu; end of the latest look
	looking bool          // guarded by mu; a look is under way or asked for
	round   chan struct{} // guarded by mu; closed at the end of the next look
}

func newRemoteKeys(o JWTOptions) (*remoteKeys, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("GATEWAY_JWKS_URL: not an absolute URL")
	}
	if !secure(u) {
		return nil, errors.New("GATEWAY_JWKS_URL: https is required, except on loopback")
	}
	client := o.Client
	if client == nil {
		client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), CheckRedirect: checkRedirect}
	}
	return &remoteKeys{
		url: o.JWKSURL, client: client, log: o.Log, failed: ErrKeysUnavailable,
		asked: make(chan struct{}, 1), gone: make(chan struct{}), round: make(chan struct{}),
	}, nil
}

// secure reports whether what comes from u is what was sent: whoever can change a key set on its way signs tokens.
func secure(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if !secure(r.URL) {
		return errors.New("a redirect to a URL without https")
	}
	return nil
}

// start looks at the key set, and waits a while for the outcome.
func (k *remoteKeys) start(ctx context.Context) {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	first := k.round
	k.looking = true
	k.asked <- struct{}{}
	go k.run(run)
	limit := time.NewTimer(jwksStart)
	defer limit.Stop()
	select {
	case <-first:
	case <-limit.C:
	case <-ctx.Done():
	}
}

func (k *remoteKeys) close() {
	k.stop()
	<-k.gone
	k.client.CloseIdleConnections()
}

func (k *remoteKeys) loaded() bool {
	keys, _ := k.state()
	return keys != nil
}

func (k *remoteKeys) state() (keys []key, failed error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, k.failed
}

func (k *remoteKeys) algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// find looks the key set up again for a kid that it does not know, though not more often than every jwksSpacing. A
// token is refused only when the latest look succeeded: else its key may be one that we just cannot see.
func (k *remoteKeys) find(ctx context.Context, kid *string, alg string) ([]jwt.VerificationKey, error) {
	keys, failed := k.state()
	known := slices.ContainsFunc(keys, func(one key) bool { return kid == nil || one.id == *kid })
	if !known {
		if err := k.look(ctx); err != nil {
			return nil, err
		}
		keys, failed = k.state()
	}
	found, err := matching(keys, kid, alg)
	if err != nil && !known && failed != nil {
		return nil, ErrKeysUnavailable
	}
	return found, err
}

// look waits for the look that is under way, or for a new one if one is due; else it does nothing.
func (k *remoteKeys) look(ctx context.Context) error {
	k.mu.Lock()
	if !k.looking {
		if time.Since(k.tried) < jwksSpacing {
			k.mu.Unlock()
			return nil
		}
		k.looking = true
		k.asked <- struct{}{} // never blocks: run has taken the last one before looking was cleared
	}
	round := k.round
	k.mu.Unlock()
	select {
	case <-round:
	case <-k.gone:
	case <-ctx.Done():
		return ErrKeysUnavailable
	}
	return nil
}

// run looks at the key set until ctx is done.
func (k *remoteKeys) run(ctx context.Context) {
	defer close(k.gone)
	timer := time.NewTimer(jwksInterval)
	defer timer.Stop()
	retry := jwksRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.asked:
		case <-timer.C:
			if !k.claim() {
				continue // asked holds that look
			}
		}
		keys, err := k.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		next := jwksInterval
		if k.store(keys, err); err == nil {
			retry = jwksRetry
		} else {
			next, retry = retry, min(2*retry, jwksRetryMax)
		}
		timer.Reset(next)
	}
}

func (k *remoteKeys) claim() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	free := !k.looking
	k.looking = true
	return free
}

// store takes the outcome of a look over and wakes who waits for it. Only a change is logged.
func (k *remoteKeys) store(keys []key, err error) {
	k.mu.Lock()
	before, had := k.failed, len(k.keys)
	first := k.tried.IsZero()
	if err == nil {
		k.keys = keys
	}
	k.failed, k.tried, k.looking = err, time.Now(), false
	close(k.round)
	k.round = make(chan struct{})
	kept := len(k.keys)
	k.mu.Unlock()
	switch {
	case err != nil && (before == nil || first):
		k.log.Warn("the key set is unavailable; the keys known before stay", "keys", kept, "err", err)
	case err == nil && kept == 0 && had > 0:
		k.log.Warn("the key set holds no key any more that signs tokens: every token is refused")
	case err == nil && (before != nil || had == 0 && kept > 0):
		k.log.Info("the key set has been loaded", "keys", kept)
	}
}

// fetch gets and reads the key set. Its errors do not hold the URL, which may carry a secret.
func (k *remoteKeys) fetch(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, errors.New("GATEWAY_JWKS_URL: not a URL that can be asked for")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(r)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, fmt.Errorf("get the key set: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get the key set: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys+1))
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	if len(body) > maxKeys {
		return nil, errors.New("read the key set: larger than 1 MiB")
	}
	keys, err := parseKeySet(body)
	if err == nil && len(keys) == 0 && !k.loaded() {
		return nil, errors.New("read the key set: no public key in it yet that signs tokens")
	}
	return keys, err
}
