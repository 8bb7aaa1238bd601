package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/testkit"
)

func TestReloader_LooksFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked atomic.Int64
		r := startReloader(func() { looked.Add(1) })
		time.Sleep(3*reloadInterval + time.Second)
		r.close()
		time.Sleep(3 * reloadInterval)
		if got := looked.Load(); got != 3 {
			t.Errorf("looked %d times, want 3", got)
		}
	})
}

// copyFile replaces a file as a mounted secret does: at once.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

func TestCertificate_KeepsTheLastGoodOne(t *testing.T) {
	log := &testkit.Buffer{}
	oldCert, oldKey := certificateFiles(t)
	newCert, newKey := certificateFiles(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	copyFile(t, oldCert, cert)
	copyFile(t, oldKey, key)
	c, err := newCertificate(config{TLSCert: cert, TLSKey: key}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	shown := func() *tls.Certificate {
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	first := shown()
	reload := func(when string, changed bool, lines int, want string) {
		t.Helper()
		before := shown()
		c.reload()
		c.reload() // what has been told is not told again
		if (shown() != before) != changed {
			t.Errorf("%s: another certificate is shown: %t", when, shown() != before)
		}
		if text := log.String(); strings.Count(text, "\n") != lines || !strings.Contains(text, want) || strings.Contains(text, dir) {
			t.Errorf("%s: logged %q, want %d lines, and %s", when, text, lines, want)
		}
	}
	reload("unchanged", false, 0, "")
	copyFile(t, newCert, cert)
	reload("half replaced", false, 1, "level=WARN")
	copyFile(t, newKey, key)
	reload("replaced", true, 2, "level=INFO")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	reload("without key", false, 3, "variable=GATEWAY_TLS_KEY")
	copyFile(t, newKey, key)
	reload("whole again", true, 4, "level=INFO")
	if shown() == first {
		t.Error("the first certificate is shown still")
	}
}

// SIGHUP has all files read at once, and does not end the process.
func TestRun_ReadsFilesAgainOnSIGHUP(t *testing.T) {
	oldCert, oldKey := certificateFiles(t)
	newCert, newKey := certificateFiles(t)
	dir := t.TempDir()
	cert, key, secret := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	copyFile(t, oldCert, cert)
	copyFile(t, oldKey, key)
	if err := os.WriteFile(secret, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startProcess(t, "GATEWAY_TLS_CERT="+cert, "GATEWAY_TLS_KEY="+key, "GATEWAY_AUTH=jwt", "GATEWAY_JWT_KEY_FILE="+secret)
	addr := strings.TrimPrefix(r.url(), "https://")
	serial := func() string {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return string(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	before := serial()
	copyFile(t, newCert, cert)
	copyFile(t, newKey, key)
	if err := os.WriteFile(secret, []byte(strings.Repeat("n", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.stop(syscall.SIGHUP)
	r.waitFor("the new certificate is shown", func() bool { return serial() != before })
	r.waitFor("the key file has been read again", func() bool { return strings.Contains(r.log.String(), "the key file has been read again") })
	r.stop(syscall.SIGTERM)
	if code := r.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
