package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

// parseKeySet reads the signing keys of a key set and passes over all others. A set without any is one, what has no list of
// keys is none.
func parseKeySet(body []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return nil, errors.New("read the key set: not JSON of a key set")
	}
	keys := []key{}
	for _, raw := range set.Keys {
		if k, ok := parseJWK(raw); ok {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// parseJWK reads one public key. Symmetric keys are passed over, since a key set is public, and so is private material.
func parseJWK(raw json.RawMessage) (key, bool) {
	var m jwkset.JWKMarshal
	if json.Unmarshal(raw, &m) != nil {
		return key{}, false
	}
	signs := (m.USE == "" || m.USE == jwkset.UseSig) &&
		(len(m.KEYOPS) == 0 || slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify))
	if !signs || len(m.KID) > maxKeyID {
		return key{}, false
	}
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipX5UScheme: true})
	if err != nil {
		return key{}, false
	}
	k := key{id: strings.Clone(m.KID), verify: jwk.Key()}
	if k.algs, err = algorithmsOf(k.verify); err != nil {
		return key{}, false
	}
	if m.ALG != "" {
		k.algs = slices.DeleteFunc(k.algs, func(alg string) bool { return alg != m.ALG.String() })
	}
	return k, len(k.algs) > 0
}
