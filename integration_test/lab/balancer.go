package lab

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sse-gateway/internal/testkit"
)

// A Balancer is a running load balancer with the configuration that is shipped.
type Balancer struct {
	*testkit.Process
	URL       string
	SecureURL string // https://…, where there is a certificate

	start func(t testing.TB) *testkit.Process
}

// BalancerOptions say what a balancer stands in front of.
type BalancerOptions struct {
	Servers   []string // host and port of each
	Cert, Key string   // PEM files; empty: no TLS
}

// A BalancerStarter starts a load balancer and waits until it has found a server that is ready.
type BalancerStarter func(t testing.TB, o BalancerOptions) *Balancer

// StartBalancer starts HAProxy in front of replicas.
func StartBalancer(t testing.TB, replicas Replicas) *Balancer {
	t.Helper()
	return StartHAProxy(t, BalancerOptions{Servers: replicas.Addrs()})
}

// StartHAProxy starts HAProxy with deploy/haproxy.cfg.
func StartHAProxy(t testing.TB, o BalancerOptions) *Balancer {
	t.Helper()
	addr := FreeAddr(t)
	b := &Balancer{URL: "http://" + addr}
	env := []string{"BIND=" + addr}
	for i, server := range o.Servers {
		env = append(env, fmt.Sprintf("GATEWAY_%d=%s", i+1, server))
	}
	if o.Cert != "" {
		secure := FreeAddr(t)
		b.SecureURL = "https://" + secure
		both := slices.Concat(readFile(t, o.Cert), readFile(t, o.Key))
		env = append(env, "TLS_BIND="+secure, "TLS_CERT="+WriteFile(t, "both.pem", both))
	}
	config := RepoFile(t, "deploy", "haproxy.cfg")
	b.start = func(t testing.TB) *testkit.Process {
		t.Helper()
		return testkit.StartProcess(t, "haproxy "+addr, env, testkit.Program(t, "haproxy"), "-db", "-f", config)
	}
	b.Process = b.start(t)
	return b.waitReady(t)
}

// Restart kills HAProxy, and with it every connection, and starts it again on the same port.
func (b *Balancer) Restart(t testing.TB) {
	t.Helper()
	b.Kill()
	b.WaitExit(t, wait)
	b.Process = b.start(t)
	b.waitReady(t)
}

// StartNginx starts nginx with deploy/nginx.conf, where it puts in what the file leaves to its user.
func StartNginx(t testing.TB, o BalancerOptions) *Balancer {
	t.Helper()
	addr, dir := FreeAddr(t), t.TempDir()
	b := &Balancer{URL: "http://" + addr}
	var servers strings.Builder
	for _, server := range o.Servers {
		fmt.Fprintf(&servers, "server %s max_fails=1 fail_timeout=1s;\n", server)
	}
	// Whoever runs the tests may not write where the package keeps its files.
	var temporary strings.Builder
	temporary.WriteString("\nhttp {\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	edits := [][2]string{
		{"\nhttp {\n", temporary.String()},
		{"listen 8000 ", "listen " + addr + " "},
		{"server gateway:8000 max_fails=1 fail_timeout=1s;", servers.String()},
	}
	if o.Cert != "" {
		secure := FreeAddr(t)
		b.SecureURL = "https://" + secure
		edits = append(edits, [][2]string{
			{"# listen 8443 ", "listen " + secure + " "},
			{"# ssl_certificate     /etc/nginx/cert.pem;", "ssl_certificate " + o.Cert + ";"},
			{"# ssl_certificate_key /etc/nginx/key.pem;", "ssl_certificate_key " + o.Key + ";"},
		}...)
	}
	config := readFile(t, RepoFile(t, "deploy", "nginx.conf"))
	for _, edit := range edits {
		if n := bytes.Count(config, []byte(edit[0])); n != 1 {
			t.Fatalf("deploy/nginx.conf holds %q %d times, want once", edit[0], n)
		}
		config = bytes.Replace(config, []byte(edit[0]), []byte(edit[1]), 1)
	}
	b.Process = testkit.StartProcess(t, "nginx "+addr, nil, testkit.Program(t, "nginx"),
		"-e", "stderr", "-p", dir, "-c", WriteFile(t, "nginx.conf", config),
		"-g", fmt.Sprintf("daemon off; pid %s;", filepath.Join(dir, "pid")))
	t.Cleanup(func() { // its workers would outlive a master that is killed
		if b.Running() {
			b.Signal(t, syscall.SIGTERM)
			b.WaitExit(t, wait)
		}
	})
	return b.waitReady(t)
}

func (b *Balancer) waitReady(t testing.TB) *Balancer {
	t.Helper()
	Eventually(t, wait, func() error {
		if err := b.Alive(); err != nil {
			t.Fatalf("%v\n%s", err, b.Log())
		}
		status, _, err := request(t.Context(), http.MethodGet, b.URL+"/readyz", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	return b
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
