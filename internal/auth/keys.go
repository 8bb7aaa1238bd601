package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minSecret = 32      // bytes of an HMAC secret; RFC 7518 section 3.2 for HS256
	minRSA    = 2048    // bits; RFC 7518 sections 3.3 and 3.5
	maxKeys   = 1 << 20 // bytes of a key file or key set
)

// key is one key that tokens are checked with.
type key struct {
	id     string   // kid in its key set; empty: none
	algs   []string // the algorithms that the key is for: by its kind, never by what a token says
	verify any      // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	sign   any      // what Mint signs with; nil for a public key
}

// keySource is where the keys for a token are found.
type keySource interface {
	// find returns the keys for the header's kid (nil: it has none) and algorithm; none is an error.
	find(ctx context.Context, kid *string, alg string) ([]jwt.VerificationKey, error)
	algorithms() []string
}

// fixedKeys are the keys of JWT_KEY and JWT_KEY_FILE. They have no names: a token's kid is not looked at.
type fixedKeys []key

func (f fixedKeys) find(_ context.Context, _ *string, alg string) ([]jwt.VerificationKey, error) {
	return matching(f, nil, alg)
}

func (f fixedKeys) algorithms() (all []string) {
	for _, k := range f {
		all = append(all, k.algs...)
	}
	return all
}

// errUnknownKey: no key fits the token's header.
var errUnknownKey = errors.New("no such key")

func matching(keys []key, kid *string, alg string) (found []jwt.VerificationKey, err error) {
	for _, k := range keys {
		if (kid == nil || *kid == k.id) && slices.Contains(k.algs, alg) {
			found = append(found, k.verify)
		}
	}
	if len(found) == 0 {
		return nil, errUnknownKey
	}
	return found, nil
}

// readKeys reads the keys of o.Key or o.KeyFile. Its errors name the variable, never what it holds. seen is a fingerprint of
// what was read, or of why nothing was.
func readKeys(o JWTOptions) (keys fixedKeys, seen [sha256.Size]byte, err error) {
	text, variable := o.Key, "GATEWAY_JWT_KEY"
	if o.KeyFile != "" {
		variable = "GATEWAY_JWT_KEY_FILE"
		if text, err = readKeyFile(o.KeyFile); err != nil {
			return nil, sha256.Sum256([]byte("error " + err.Error())), fmt.Errorf("%s: %w", variable, err)
		}
	}
	seen = sha256.Sum256([]byte("text " + text))
	if keys, err = parseKeys(text); err != nil {
		return nil, seen, fmt.Errorf("%s: %w", variable, err)
	}
	return keys, seen, nil
}

func readKeyFile(name string) (string, error) {
	file, err := os.ReadFile(name) //nolint:gosec // it is the operator who names it
	switch {
	case err != nil:
		return "", unnamed(err)
	case len(file) > maxKeys:
		return "", errors.New("larger than 1 MiB")
	}
	return string(file), nil
}

// unnamed is the error of a file without its name: that may be the key itself, given in the wrong place.
func unnamed(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("the file it names cannot be read: %w", inner.Err)
	}
	return err
}

// parseKeys reads a secret, or a key in one of the forms that findKeys knows. One line break at a secret's end is the
// editor's and not part of it.
func parseKeys(text string) (fixedKeys, error) {
	if keys, found, err := findKeys([]byte(text), maxWraps); found {
		return keys, err
	}
	secret := []byte(strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"))
	if len(secret) < minSecret {
		return nil, fmt.Errorf("a secret needs at least %d bytes (openssl rand -base64 48 makes a good one)", minSecret)
	}
	if err := checkName(text); err != nil {
		return nil, err
	}
	return fixedKeys{{algs: []string{"HS256", "HS384", "HS512"}, verify: secret, sign: secret}}, nil
}

// parsePEM reads every key of PEM text: several are accepted side by side, so that they can be rotated.
func parsePEM(text string) (keys fixedKeys, err error) {
	if !strings.Contains(strings.TrimSpace(text), "\n") { // an environment file cannot hold line breaks
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	blocks, rest, certificates := 0, []byte(text), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks++
		switch block.Type {
		case "EC PARAMETERS": // what openssl ecparam -genkey writes first
			continue
		case "CERTIFICATE":
			certificates++
		}
		k, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	switch {
	case blocks == 0, blocks != strings.Count(text, "-----BEGIN "):
		return nil, errors.New("a PEM block is damaged")
	case certificates > 1:
		return nil, errors.New("more than one certificate; the authority's key must not sign tokens")
	case len(keys) == 0:
		return nil, errors.New("no key in the PEM text")
	}
	return keys, nil
}

// parseBlock reads one key. The causes stay out of its errors: they could hold a part of the key.
func parseBlock(block *pem.Block) (key, error) {
	kinds := derKinds()
	at := slices.IndexFunc(kinds, func(k derKind) bool { return k.label == block.Type })
	if at < 0 {
		return key{}, errors.New("a PEM block of a type that is not read; wanted is a PUBLIC KEY or an unencrypted PRIVATE KEY")
	}
	parsed, err := kinds[at].parse(block.Bytes)
	if err != nil {
		return key{}, fmt.Errorf("the %s in it cannot be read", block.Type)
	}
	return newKeyOf(parsed)
}

// A derKind is a kind of key in DER, with its label in PEM (RFC 7468).
type derKind struct {
	label string
	parse func(der []byte) (any, error)
}

func derKinds() []derKind {
	return []derKind{
		{"PUBLIC KEY", x509.ParsePKIXPublicKey},
		{"RSA PUBLIC KEY", func(der []byte) (any, error) { return x509.ParsePKCS1PublicKey(der) }},
		{"CERTIFICATE", func(der []byte) (any, error) {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, err
			}
			return c.PublicKey, nil
		}},
		{"PRIVATE KEY", x509.ParsePKCS8PrivateKey},
		{"RSA PRIVATE KEY", func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) }},
		{"EC PRIVATE KEY", func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) }},
	}
}

// newKeyOf makes a key of what x509 has read.
func newKeyOf(parsed any) (key, error) {
	k := key{verify: parsed}
	if private, ok := parsed.(interface{ Public() crypto.PublicKey }); ok {
		k.sign, k.verify = parsed, private.Public()
	}
	var err error
	k.algs, err = algorithmsOf(k.verify)
	return k, err
}

// algorithmsOf returns the algorithms that a public key is for.
func algorithmsOf(public any) ([]string, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("an RSA key needs at least %d bits", minRSA)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}, nil
		case 384:
			return []string{"ES384"}, nil
		case 521:
			return []string{"ES512"}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, errors.New("a kind of key that does not sign tokens; wanted is RSA, ECDSA on P-256, P-384 or P-521, or Ed25519")
}
