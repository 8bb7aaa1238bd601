package auth

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"strings"
	"unicode/utf16"
)

const (
	// maxWraps is how often a key may have been encoded: base64 of a PEM file, and once more by whatever stores secrets.
	maxWraps = 3
	// minDER is less than the shortest public key takes in DER (Ed25519: 44 bytes). What is shorter is no key.
	minDER = 40
)

var (
	errOtherForm = errors.New("a key in a form that is not read; as a secret, everybody who knows the public key could sign. Give it as PEM")
	errKeySet    = errors.New("a JSON Web Key or a set of them; as a secret, everybody who knows the public key could sign. " +
		"Give the key as PEM, or the URL of the set in GATEWAY_JWKS_URL")
	errNameOfFile = errors.New("the name of a file, which is no secret; GATEWAY_JWT_KEY_FILE takes it")
	errURL        = errors.New("a URL, which is no secret; GATEWAY_JWKS_URL takes that of a key set")
)

// pemMark is what a PEM block begins with, also where its dashes were lost on the way.
var pemMark = regexp.MustCompile(`-----BEGIN |BEGIN [A-Z0-9 ]*(KEY|CERTIFICATE|REQUEST|PKCS7|CMS)`)

// findKeys looks for a key in what is to be a secret, in every form in which keys are shown and handed on: PEM, DER, and
// either in base64 or hex. Taken for a secret, a public key would let everybody sign who knows it. found is false when
// there is none; a key that is there and cannot be used is an error.
func findKeys(text []byte, wraps int) (keys fixedKeys, found bool, err error) {
	for _, plain := range plainTexts(text) {
		switch {
		case pemMark.Match(plain):
			keys, err = parsePEM(string(plain))
			return keys, true, err
		case bytes.Contains(plain, []byte(`"kty"`)):
			return nil, true, errKeySet
		case isForeign(plain):
			return nil, true, errOtherForm
		}
		if der, ok := derIn(plain); ok {
			keys, err = parseDER(der)
			return keys, true, err
		}
		if isCutOff(plain) {
			return nil, true, errOtherForm
		}
		if wraps == 0 {
			continue
		}
		for _, piece := range pieces(string(plain)) {
			for _, inner := range decodings(piece) {
				if keys, found, err = findKeys(inner, wraps-1); found {
					return keys, true, err
				}
			}
		}
	}
	return nil, false, nil
}

// plainTexts returns text, and what an editor of another system may have made it from: with a byte order mark, in UTF-16.
func plainTexts(text []byte) [][]byte {
	texts := [][]byte{bytes.TrimPrefix(text, []byte("\ufeff"))}
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return texts
	}
	var units []uint16
	for rest := text[2:]; len(rest) > 1; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return append(texts, []byte(string(utf16.Decode(units))))
}

// isForeign tells public keys as SSH and .NET write them.
func isForeign(text []byte) bool {
	text = bytes.TrimSpace(text)
	for _, kind := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"} {
		if bytes.HasPrefix(text, []byte(kind)) {
			return true
		}
		// The wire format: the kind after its length, in four bytes (RFC 4253, section 6.6).
		if len(text) > 4 && text[0] == 0 && text[1] == 0 && text[2] == 0 && bytes.HasPrefix(text[4:], []byte(kind)) {
			return true
		}
	}
	return bytes.Contains(text, []byte("KeyValue>")) // XML signature, section 4.5.2
}

// derIn returns text without what follows it, if it is a DER sequence of well-formed elements, as keys and certificates of
// every kind are. Of random bytes as long as secrets one in a million is.
func derIn(text []byte) ([]byte, bool) {
	var outer, element asn1.RawValue
	rest, err := asn1.Unmarshal(text, &outer)
	if err != nil || outer.Class != asn1.ClassUniversal || outer.Tag != asn1.TagSequence || len(outer.FullBytes) < minDER ||
		len(bytes.Trim(rest, "\x00\r\n\t ")) > 0 {
		return nil, false
	}
	elements := 0
	for inner := outer.Bytes; len(inner) > 0; elements++ {
		if inner, err = asn1.Unmarshal(inner, &element); err != nil {
			return nil, false
		}
	}
	return outer.FullBytes, elements > 1
}

// isCutOff tells a key in DER of which a part is missing: by how a long sequence begins, or by the name of its algorithm.
func isCutOff(text []byte) bool {
	if len(text) > 4 && text[0] == 0x30 && text[1] == 0x82 && (text[4] == 0x30 || text[4] == 0x02) {
		return true
	}
	for _, algorithm := range []string{
		"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", // rsaEncryption
		"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",         // id-ecPublicKey
		"\x06\x03\x2b\x65\x70",                         // id-Ed25519
	} {
		if bytes.Contains(text, []byte(algorithm)) {
			return true
		}
	}
	return false
}

// parseDER reads one key of whatever kind.
func parseDER(der []byte) (fixedKeys, error) {
	for _, kind := range derKinds() {
		if parsed, err := kind.parse(der); err == nil {
			k, err := newKeyOf(parsed)
			return fixedKeys{k}, err
		}
	}
	return nil, errOtherForm
}

// pieces returns what may be one encoded key: all of the text, the lines of it that are nothing else, and its words.
func pieces(text string) []string {
	text = strings.NewReplacer(`\r`, "\n", `\n`, "\n", `"`, " ", "'", " ", ",", " ").Replace(text)
	words := strings.Fields(text)
	var lines strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); !strings.ContainsFunc(line, func(r rune) bool { return !isBase64(r) }) {
			lines.WriteString(line)
		}
	}
	found := []string{strings.Join(words, ""), lines.String()}
	for _, word := range words {
		if len(word) >= minDER {
			found = append(found, word)
		}
	}
	return found
}

func isBase64(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+/-_=", r)
}

// decodings returns what text is base64 or hex of.
func decodings(text string) (found [][]byte) {
	digits := strings.TrimPrefix(strings.ReplaceAll(text, ":", ""), "0x")
	if raw, err := hex.DecodeString(digits); err == nil {
		found = append(found, raw)
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if raw, err := base64.RawStdEncoding.DecodeString(standard); err == nil {
		found = append(found, raw)
	}
	return found
}

// checkName refuses what names a place where a key is: anybody can guess it.
func checkName(text string) error {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, "http://"), strings.HasPrefix(text, "https://"):
		return errURL
	case strings.HasPrefix(text, "file:"):
		return errNameOfFile
	}
	if _, err := os.Stat(text); err == nil {
		return errNameOfFile
	}
	return nil
}
