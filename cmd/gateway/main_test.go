package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

func TestRun_ServesAndStopsCleanly(t *testing.T) {
	r := startRun(t)
	url := r.url()
	events, _ := r.subscribe(url)
	response, err := http.Post(url+"/publish", "", strings.NewReader(`{"topic": "robot", "data": "hi robot"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if event, err := events.Next(); err != nil || event.Data != `{"topic":"robot","data":"hi robot"}` {
		t.Errorf("got %+v, %v", event, err)
	}
	r.stop(nil)
	if code := r.end(); code != 0 || r.err != nil {
		t.Errorf("exit code %d, %v", code, r.err)
	}
	if _, err := events.Next(); err == nil {
		t.Error("the stream goes on")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestRun_FaultsOfConfigurationAreExitCode2(t *testing.T) {
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"several":    {[]string{"GATEWAY_RETRY=x", "GATEWAY_NOPE=1"}, "GATEWAY_NOPE: there is no such variable\n  GATEWAY_RETRY"},
		"redis":      {[]string{"GATEWAY_REDIS_URL=redis://:hunter2@:x"}, "GATEWAY_REDIS_URL: "},
		"redis kind": {[]string{"GATEWAY_REDIS_URL=http://user:hunter2@host"}, "GATEWAY_REDIS_URL: "},
		"open":       {[]string{"GATEWAY_ADDR=:0"}, "GATEWAY_ADDR: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRun(t, test.environ...)
			if code := r.end(); code != 2 || !strings.Contains(r.log.String(), test.want) || strings.Contains(r.log.String(), "hunter2") {
				t.Errorf("exit code %d: %s", code, r.log)
			}
		})
	}
}

func TestRun_PortInUseIsExitCode1(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	for _, name := range []string{"GATEWAY_ADDR", "GATEWAY_ADMIN_ADDR"} {
		r := startRun(t, name+"="+listener.Addr().String())
		if code := r.end(); code != 1 || !strings.Contains(r.log.String(), "in use by another process: stop it, or set "+name) {
			t.Errorf("exit code %d: %s", code, r.log)
		}
	}
}

func TestRun_KeepsMetricsOnTheAdminAddress(t *testing.T) {
	admin := testkit.FreeAddr(t)
	r := startRun(t, "GATEWAY_ADMIN_ADDR="+admin)
	url := r.url()
	for path, want := range map[string]int{"/metrics": 404, "/debug/pprof/": 404, "/healthz": 200} {
		if got := r.status(url + path); got != want {
			t.Errorf("public %s: %d", path, got)
		}
	}
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 200, "/readyz": 200, "/publish": 404} {
		if got := r.status("http://" + admin + path); got != want {
			t.Errorf("admin %s: %d", path, got)
		}
	}
}

func TestRun_SpeaksHTTP2WithAndWithoutTLS(t *testing.T) {
	cert, key := certificateFiles(t)
	for scheme, environ := range map[string][]string{"http": nil, "https": {"GATEWAY_TLS_CERT=" + cert, "GATEWAY_TLS_KEY=" + key}} {
		t.Run(scheme, func(t *testing.T) {
			r := startRun(t, environ...)
			url := r.url()
			if !strings.HasPrefix(url, scheme+"://") {
				t.Fatalf("the page is at %s", url)
			}
			transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			transport.Protocols.SetHTTP2(true)
			transport.Protocols.SetUnencryptedHTTP2(true)
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for range 30 {
				r.waitFor("a stream opens", func() bool { return opens(t, client, url) })
			}
		})
	}
}

// opens opens a stream over HTTP/2 and leaves it open.
func opens(t *testing.T, client *http.Client, url string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/subscribe?topics=robot", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.ProtoMajor != 2 {
		t.Fatalf("a stream is %s", response.Proto)
	}
	event, err := sse.NewDecoder(response.Body).Next()
	return err == nil && event.Type == "ready"
}

// certificateFiles writes a certificate for 127.0.0.1 and its key to files.
func certificateFiles(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestCommands_DoWhatTheySay(t *testing.T) {
	key := "GATEWAY_JWT_KEY=" + strings.Repeat("k", 32)
	for name, test := range map[string]struct {
		args    []string
		environ []string
		code    int
		want    string // in what is printed
	}{
		"help":                   {[]string{"-h"}, nil, 0, "GATEWAY_HISTORY_SIZE"},
		"help on bad settings":   {[]string{"help"}, []string{"GATEWAY_RETRY=x"}, 0, "gateway token"},
		"version":                {[]string{"version"}, nil, 0, "go1."},
		"version help":           {[]string{"version", "-h"}, nil, 0, "gateway version\n"},
		"version, words":         {[]string{"version", "x"}, nil, 2, `gateway: version takes nothing, and got "x"`},
		"token":                  {[]string{"token", "-sub", "jack", "-subscribe", "chat.*"}, []string{key}, 0, "eyJ"},
		"token help":             {[]string{"token", "-h"}, nil, 0, "-subscribe"},
		"token without key":      {[]string{"token", "-sub", "jack"}, nil, 2, "gateway: token: no key to sign with: set GATEWAY_JWT_KEY"},
		"token with wrong flag":  {[]string{"token", "-nope"}, []string{key}, 2, "gateway: token: flag provided but not defined: -nope"},
		"unknown":                {[]string{"serve"}, nil, 2, `there is no command "serve"`},
		"health help":            {[]string{"healthcheck", "-h"}, nil, 0, "gateway healthcheck [ready]"},
		"health help, late":      {[]string{"healthcheck", "ready", "--help"}, nil, 0, "gateway healthcheck [ready]"},
		"health of nobody":       {[]string{"healthcheck"}, []string{"GATEWAY_ADDR=" + testkit.FreeAddr(t)}, 1, "healthcheck: "},
		"health, too many words": {[]string{"healthcheck", "live"}, nil, 2, "healthcheck takes"},
		"pub help":               {[]string{"pub", "-h"}, nil, 0, "gateway pub [flags] TOPIC [DATA]"},
		"sub help, late":         {[]string{"sub", "robot", "--help"}, nil, 0, "gateway sub [flags] TOPIC…"},
		"tail help":              {[]string{"tail", "-h"}, nil, 0, "gateway tail [flags] [PATTERN…]"},
		"sub of nothing":         {[]string{"sub"}, nil, 2, "gateway: sub: which topic?"},
		"sub, bad settings":      {[]string{"sub"}, []string{"GATEWAY_RETRY=x"}, 2, "which topic?"}, // they are not the command's
		"sub of nobody":          {[]string{"sub", "t"}, []string{"GATEWAY_URL=http://" + testkit.FreeAddr(t)}, 3, "gateway: sub: nothing answers at http://127.0.0.1:"},
		"tail without key":       {[]string{"tail", "--admin"}, nil, 1, "gateway: tail: no key to sign with: set GATEWAY_JWT_KEY"},
		"health, bad settings":   {[]string{"healthcheck"}, []string{"GATEWAY_RETRY=x"}, 2, "GATEWAY_RETRY"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			code := exit(run(t.Context(), append([]string{"gateway"}, test.args...), test.environ, &out, &out), &out)
			if code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit code %d: %s", code, out.String())
			}
			if strings.Count(out.String(), "gateway: ") > 1 || strings.Contains(out.String(), "gateway: gateway") {
				t.Errorf("says twice who speaks: %s", out.String())
			}
		})
	}
}

func TestCommands_HelpFitsATerminal(t *testing.T) {
	for _, args := range [][]string{{"gateway", "-h"}, {"gateway", "token", "-h"}, {"gateway", "healthcheck", "-h"}, {"gateway", "version", "-h"}, {"gateway", "pub", "-h"}, {"gateway", "sub", "-h"}, {"gateway", "tail", "-h"}} {
		var out strings.Builder
		if err := run(t.Context(), args, nil, &out, io.Discard); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		for line := range strings.Lines(out.String()) {
			// A tab is at most 8 wide.
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) + 7*strings.Count(line, "\t"); width > 100 {
				t.Errorf("%q: %d columns: %s", args, width, line)
			}
		}
	}
}

func TestHealthcheck_AsksTheRunningGateway(t *testing.T) {
	cert, key := certificateFiles(t)
	for name, environ := range map[string][]string{
		"plain": nil,
		"TLS":   {"GATEWAY_TLS_CERT=" + cert, "GATEWAY_TLS_KEY=" + key},
		"admin": {"GATEWAY_ADMIN_ADDR=" + testkit.FreeAddr(t)},
		"all":   {"GATEWAY_ADDR=:" + strings.SplitAfter(testkit.FreeAddr(t), ":")[1], "GATEWAY_AUTH=none"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := append([]string{"GATEWAY_ADDR=" + testkit.FreeAddr(t)}, environ...)
			r := startRun(t, environ...)
			r.url()
			for _, args := range [][]string{{"gateway", "healthcheck"}, {"gateway", "healthcheck", "ready"}} {
				r.waitFor("the gateway is healthy", func() bool {
					return run(t.Context(), args, environ, io.Discard, io.Discard) == nil
				})
			}
		})
	}
}

func TestRun_IsNotReadyWithoutItsRedis(t *testing.T) {
	r := startRun(t, "GATEWAY_REDIS_URL=redis://:hunter2@"+testkit.FreeAddr(t), "GATEWAY_REDIS_TIMEOUT=500ms")
	page := regexp.MustCompile(`"addr":"([^"]+)"`)
	var url string
	r.waitFor("the gateway is up", func() bool {
		if found := page.FindStringSubmatch(r.log.String()); found != nil {
			url = "http://" + found[1]
		}
		return url != ""
	})
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200, "/subscribe?topics=a": 200, "/topics/a": 503} {
		if got := r.status(url + path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	began := time.Now()
	response, err := http.Post(url+"/publish", "", strings.NewReader(`{"topic":"robot","data":1}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || time.Since(began) > 2*time.Second {
		t.Errorf("publish: %s %s after %s", response.Status, body, time.Since(began))
	}
	http.DefaultClient.CloseIdleConnections()
	r.stop(nil)
	if code := r.end(); code != 0 || strings.Contains(r.log.String(), "hunter2") {
		t.Errorf("exit code %d; log:\n%s", code, r.log)
	}
}

func TestRun_RefusesTheTokensOfWhoWasCutOff(t *testing.T) {
	key := "GATEWAY_JWT_KEY=" + strings.Repeat("k", 32)
	r := startRun(t, "GATEWAY_AUTH=jwt", key)
	url := r.url()
	mint := func(args ...string) string {
		var out strings.Builder
		if err := run(t.Context(), append([]string{"gateway", "token"}, args...), []string{key}, &out, &out); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	jack := mint("-sub", "jack")
	stream, err := r.get(url + "/subscribe?user=jack&access_token=" + jack)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url+"/users/jack/streams", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+mint("-sub", "boss", "-admin"))
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("cut: %s", response.Status)
	}
	// Who is cut off has no whole response: a proxy or a client must not take it for one.
	if _, err := io.ReadAll(stream.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream: %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := r.status(url + "/users/jack?access_token=" + jack); got != http.StatusUnauthorized {
		t.Errorf("the old token: %d", got)
	}
	r.waitFor("a new token is taken", func() bool {
		return r.status(url+"/users/jack?access_token="+mint("-sub", "jack")) == http.StatusOK
	})
	if strings.Contains(r.log.String(), "eyJ") {
		t.Error("the log holds a token")
	}
}

func TestExit_TellsFaultsApart(t *testing.T) {
	for want, err := range map[int]error{0: nil, 1: errSecondSignal, 2: fmt.Errorf("x: %w", &configError{})} {
		if got := exit(err, io.Discard); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
	if got := exit(errors.Join(usageError{errors.New("x")}), io.Discard); got != 2 {
		t.Errorf("usage: exit code %d", got)
	}
}
