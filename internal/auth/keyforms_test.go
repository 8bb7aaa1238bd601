package auth

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// Whoever knows a public key must not be able to sign with it, however it was written down: it is read as what it is, or
// refused, but never taken for a secret.
func TestNewJWT_TakesNoKeyForASecret(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		pair := newKey(t, alg)
		der := decodePEM(t, pair.pem)
		request := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, pair.private))
		for name, document := range map[string]string{
			"key":           string(der),
			"certificate":   string(decodePEM(t, selfSigned(t, pair))),
			"PEM":           pair.pem,
			"private key":   string(decodePEM(t, pair.privatePEM)),
			"private PEM":   pair.privatePEM,
			"request":       string(request),
			"key set":       keySet(t, "k-", pair),
			"key of a set":  strings.TrimSuffix(strings.TrimPrefix(keySet(t, "k-", pair), `{"keys":[`), `]}`),
			"SSH key":       "ssh-ed25519 " + base64.StdEncoding.EncodeToString(sshWire("ssh-ed25519", der)) + " jack@host",
			"SSH key's end": base64.StdEncoding.EncodeToString(sshWire("ssh-rsa", der)),
			"XML":           "<RSAKeyValue><Modulus>" + base64.StdEncoding.EncodeToString(der) + "</Modulus></RSAKeyValue>",
			"PEM's lines":   strings.Join(strings.Split(pair.pem, "\n")[1:slices.Index(strings.Split(pair.pem, "\n"), "-----END PUBLIC KEY-----")], "\n"),
		} {
			for form, text := range writings(document) {
				if !taken(t, text, pair) {
					continue
				}
				for _, known := range []string{text, strings.TrimSpace(text), document, string(der), pair.pem} {
					j := newJWT(t, JWTOptions{Key: text})
					if _, err := j.Authenticate(bearerRequest(sign(t, "HS256", []byte(known), with(nil), nil))); err == nil {
						t.Errorf("%s: %s, %s: whoever knows it can sign", alg, name, form)
						break
					}
				}
			}
		}
	}
}

// taken tells whether a key is accepted, and checks that it then is the pair's, and that its text is not shown otherwise.
func taken(t *testing.T, text string, pair keyPair) bool {
	t.Helper()
	keys, err := parseKeys(text)
	if err != nil {
		if len(text) > 20 && strings.Contains(err.Error(), text[5:20]) {
			t.Errorf("error %q shows the key", err)
		}
		return false
	}
	if len(keys) != 1 || !slices.Contains(keys[0].algs, pair.alg) {
		t.Errorf("%.30q… is read as something else", text)
	}
	return true
}

// writings are the ways in which a document ends up in a variable or a file.
func writings(document string) map[string]string {
	raw := []byte(document)
	std := base64.StdEncoding.EncodeToString(raw)
	ways := map[string]string{
		"as it is":               document,
		"base64":                 std,
		"base64, a line break":   std + "\n",
		"base64 in lines":        broken(std, "\n"),
		"base64 in CR LF lines":  broken(std, "\r\n"),
		"base64 with \\n":        broken(std, `\n`),
		"base64 in blanks":       broken(std, " "),
		"base64 without padding": base64.RawStdEncoding.EncodeToString(raw),
		"base64url":              base64.URLEncoding.EncodeToString(raw),
		"base64url, no padding":  base64.RawURLEncoding.EncodeToString(raw),
		"base64 twice":           base64.StdEncoding.EncodeToString([]byte(std)),
		"base64 of lines, twice": base64.StdEncoding.EncodeToString([]byte(broken(std, "\n") + "\n")),
		"base64 in quotes":       `"` + std + `"`,
		"base64 after a comment": "# the key of example.com\n" + std,
		"base64 as data URL":     "data:application/octet-stream;base64," + std,
		"hex":                    hex.EncodeToString(raw),
		"hex in capitals":        strings.ToUpper(hex.EncodeToString(raw)),
		"hex with 0x":            "0x" + hex.EncodeToString(raw),
		"hex in lines":           broken(hex.EncodeToString(raw), "\n"),
		"hex with colons":        colons(raw),
		"with a BOM":             "\ufeff" + document,
		"in UTF-16, base64":      inUTF16(std),
	}
	if utf8.Valid(raw) {
		ways["in UTF-16"] = inUTF16(document)
	}
	if strings.HasPrefix(document, "-----BEGIN ") {
		ways["in one line"] = strings.ReplaceAll(document, "\n", " ")
		ways["without line breaks"] = strings.ReplaceAll(document, "\n", "")
		ways["with dashes lost"] = strings.Trim(document, "-\n")
	}
	return ways
}

func broken(text, with string) string {
	var lines []string
	for line := range slices.Chunk([]byte(text), 64) {
		lines = append(lines, string(line))
	}
	return strings.Join(lines, with)
}

func colons(raw []byte) string {
	var bytes []string
	for _, b := range raw {
		bytes = append(bytes, hex.EncodeToString([]byte{b}))
	}
	return strings.Join(bytes, ":")
}

func inUTF16(text string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return string(out)
}

// sshWire is how SSH writes a key: its kind, then its parts, each after its length (RFC 4253, section 6.6).
func sshWire(kind string, part []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(kind)))
	out = append(out, kind...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
	return append(out, part...)
}

func decodePEM(t *testing.T, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("not PEM")
	}
	return block.Bytes
}

// What identity providers show can be pasted as it is.
func TestNewJWT_ReadsKeysWithoutPEM(t *testing.T) {
	pair := newKey(t, "ES256")
	der, certificate := decodePEM(t, pair.pem), decodePEM(t, selfSigned(t, pair))
	encode := base64.StdEncoding.EncodeToString
	for name, text := range map[string]string{
		"DER":                    string(der),
		"bare base64":            encode(der),
		"certificate in base64":  encode(certificate),
		"base64 in lines":        broken(encode(der), "\n") + "\n",
		"PEM in base64":          encode([]byte(pair.pem)),
		"private PEM in base64":  encode([]byte(pair.privatePEM)),
		"private DER in base64":  encode(decodePEM(t, pair.privatePEM)),
		"PEM in UTF-16 with BOM": inUTF16(pair.pem),
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, o := range []JWTOptions{{Key: text}, {KeyFile: file}} {
			j, err := NewJWT(t.Context(), o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if _, err := j.Authenticate(bearerRequest(sign(t, "ES256", pair.private, with(nil), nil))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Secrets as people make them stay secrets, also those that happen to be base64 or hex.
func TestNewJWT_TakesSecretsOfEveryKind(t *testing.T) {
	for range 2000 {
		raw := make([]byte, 48)
		_, _ = rand.Read(raw)
		for _, secret := range []string{string(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw)} {
			keys, err := parseKeys(strings.ReplaceAll(secret, "\n", "x"))
			if err != nil || len(keys) != 1 || keys[0].algs[0] != "HS256" {
				t.Fatalf("%q: %v", secret, err)
			}
		}
	}
}

// Who reads the documentation in haste puts a file's name, or the key set's URL, where the key belongs. Neither is secret.
func TestNewJWT_TakesNoNameForASecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a-secret-for-tokens-in-a-file-of-its-own")
	if err := os.WriteFile(file, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		file: "GATEWAY_JWT_KEY_FILE", "file://" + file: "GATEWAY_JWT_KEY_FILE",
		"https://id.example.com/.well-known/jwks.json": "GATEWAY_JWKS_URL",
	} {
		if _, err := NewJWT(t.Context(), JWTOptions{Key: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that says %s", text, err, want)
		}
	}
}

func TestNewJWT_NeverShowsAKeyGivenAsAFilesName(t *testing.T) {
	pair := newKey(t, "ES256")
	for name, text := range map[string]string{
		"PEM": pair.privatePEM, "PEM in one line": strings.ReplaceAll(pair.privatePEM, "\n", `\n`),
		"base64": base64.StdEncoding.EncodeToString(decodePEM(t, pair.privatePEM)), "secret": testSecret,
		"NUL": "hunter2\x00" + testSecret, "short": "hunter2hunter2hunter2hunter2hunt",
	} {
		err := JWTOptions{KeyFile: text}.Check()
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, part := range []string{text[8:24], text[len(text)-30 : len(text)-10], "hunter2"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q shows a part of the key", name, err)
			}
		}
		if !strings.Contains(err.Error(), "GATEWAY_JWT_KEY_FILE") {
			t.Errorf("%s: error %q does not name the variable", name, err)
		}
	}
}
