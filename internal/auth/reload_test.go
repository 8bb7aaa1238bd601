package auth

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys are rotated by writing their file anew: at no moment may that end the service, or leave an old key in force.
func TestJWT_ReadsItsKeyFileAgain(t *testing.T) {
	old, next := newKey(t, "ES256"), newKey(t, "EdDSA")
	file := filepath.Join(t.TempDir(), "key")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old.pem)
	var log bytes.Buffer
	j := newJWT(t, JWTOptions{KeyFile: file, Log: slog.New(slog.NewTextHandler(&log, nil))})
	takes := func(when string, pair keyPair, want bool) {
		t.Helper()
		_, err := j.Authenticate(bearerRequest(sign(t, pair.alg, pair.private, with(nil), nil)))
		if (err == nil) != want {
			t.Errorf("%s: a token of %s got %v", when, pair.alg, err)
		}
	}
	lines := func(when string, want int, text string) {
		t.Helper()
		j.Reload()
		j.Reload() // what has been told is not told again
		if got := log.String(); strings.Count(got, "\n") != want || !strings.Contains(got, text) {
			t.Errorf("%s: logged %q, want %d lines, one that says %q", when, got, want, text)
		}
	}
	lines("unchanged", 0, "")
	takes("unchanged", old, true)
	write(old.pem + next.pem)
	lines("both", 1, "level=INFO")
	takes("both", old, true)
	takes("both", next, true)
	write(next.pem)
	lines("the new one", 2, "keys=1")
	takes("the new one", old, false)
	takes("the new one", next, true)
	write("half a k")
	lines("broken", 3, "level=WARN")
	takes("broken", next, true)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	lines("gone", 4, "no such file")
	takes("gone", next, true)
	write(next.pem)
	lines("back as it was", 5, "level=INFO")
	takes("back as it was", next, true)
	write(testSecret)
	lines("a secret", 6, "")
	takes("a secret", next, false)
	if _, err := j.Authenticate(bearerRequest(sign(t, "HS256", []byte(testSecret), with(nil), nil))); err != nil {
		t.Errorf("a secret: %v", err)
	}
	if got := log.String(); strings.Contains(got, "half") || strings.Contains(got, testSecret) || strings.Contains(got, file) {
		t.Errorf("the log shows a key or its file: %s", got)
	}
}
