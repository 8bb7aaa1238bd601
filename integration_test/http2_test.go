package integration_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// certificate makes a certificate for 127.0.0.1 and returns the settings that use it.
func certificate(t *testing.T) []string {
	t.Helper()
	cert, key := certificateFiles(t)
	return []string{"GATEWAY_TLS_CERT=" + cert, "GATEWAY_TLS_KEY=" + key}
}

// certificateFiles makes a certificate for 127.0.0.1 and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		return lab.WriteFile(t, name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
}

// transports speak one version of HTTP each.
func transport(t *testing.T, set func(*http.Protocols)) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	set(protocols)
	transport := &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestHTTP_EveryVersionStreams(t *testing.T) {
	plain := start(t)
	secure := lab.StartGateway(t, gateways.Binary(t), certificate(t)...)
	tests := []struct {
		name    string
		gateway *lab.Gateway
		set     func(*http.Protocols)
		major   int
	}{
		{"HTTP/1.1", plain, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{"h2c on the same port", plain, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		{"HTTPS with HTTP/2", secure, func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
		{"HTTPS with HTTP/1.1", secure, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := transport(t, tt.set)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.gateway.URL+"/subscribe?topics=t", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.ProtoMajor != tt.major || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s, status %d", resp.Proto, resp.StatusCode)
			}
			lines := bufio.NewScanner(resp.Body)
			until := func(prefix string) {
				for lines.Scan() {
					if strings.HasPrefix(lines.Text(), prefix) {
						return
					}
				}
				t.Fatalf("the stream ended before %q: %v", prefix, lines.Err())
			}
			until("event: ready")
			answer, err := client.Post(tt.gateway.URL+"/publish", "", strings.NewReader(`{"topic":"t","data":"over `+tt.name+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK || answer.ProtoMajor != tt.major {
				t.Fatalf("publish: %s, status %d", answer.Proto, answer.StatusCode)
			}
			until(`data: {"topic":"t","data":"over ` + tt.name)
		})
	}
}

// A browser opens at most 6 connections to a host, and with HTTP/1.1 each stream takes one.
func TestHTTP_ABrowserHas30StreamsOverOneConnection(t *testing.T) {
	page := lab.ServePage(t)
	gateway := lab.StartGateway(t, gateways.Binary(t), append(certificate(t), "GATEWAY_CORS_ORIGINS="+page.Origin)...)
	link := lab.StartLink(t, gateway.Addr())
	const streams = 30
	lab.Chromium(t).Open(t, page.URL("https://"+link.Addr+"/subscribe?topics=t", streams))
	page.Wait(t, "ready", streams)
	if conns := link.Conns(); conns != 1 {
		t.Errorf("%d streams take %d connections, want 1", streams, conns)
	}
	client := transport(t, func(p *http.Protocols) { p.SetHTTP2(true) })
	answer, err := client.Post(gateway.URL+"/publish", "", strings.NewReader(`{"topic":"t","data":"all"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	heard := map[int]bool{}
	for _, report := range page.Wait(t, "message", streams) {
		heard[report.Stream] = true
	}
	if len(heard) != streams {
		t.Errorf("%d of %d streams got the event", len(heard), streams)
	}
	lab.Eventually(t, wait, func() error {
		if errors := len(page.Reports()) - 3*streams; errors > 0 { // open, ready, message
			return fmt.Errorf("%d more reports", errors)
		}
		return nil
	})
}
