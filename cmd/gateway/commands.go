package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/build"
)

// mintToken makes a token for development. It looks at nothing but the settings of tokens, so that it works where
// the gateway itself is configured otherwise.
func mintToken(args, environ []string, stdout io.Writer) error {
	cfg, faults := parseConfig(environ)
	if len(faults) > 0 {
		return &configError{faults}
	}
	if err := auth.TokenCommand(args, cfg.jwt(), stdout); err != nil {
		return usageError{fmt.Errorf("token: %w", err)}
	}
	return nil
}

func printVersion(args []string, stdout io.Writer) error {
	switch {
	case wantsHelp(args):
		return printHelp(stdout, versionUsage)
	case len(args) > 0:
		return usageError{fmt.Errorf("version takes nothing, and got %q", strings.Join(args, " "))}
	}
	_, err := fmt.Fprintln(stdout, "gateway", build.Read())
	return err
}

// healthcheck asks the gateway that runs with the same configuration whether it is live, or ready. A replica that is
// not ready is not to be restarted for it: its streams are still open.
func healthcheck(ctx context.Context, args, environ []string, stdout io.Writer) error {
	path := "/healthz"
	switch words := strings.Join(args, " "); {
	case wantsHelp(args):
		return printHelp(stdout, healthcheckUsage)
	case words == "":
	case words == "ready":
		path = "/readyz"
	default:
		return usageError{fmt.Errorf("healthcheck takes nothing, or ready, and got %q", words)}
	}
	cfg, faults := parseConfig(environ)
	if len(faults) > 0 {
		return &configError{faults}
	}
	scheme, addr := "http", cfg.AdminAddr
	if addr == "" {
		addr = cfg.Addr
		if cfg.TLSCert != "" {
			scheme = "https"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+dialable(addr)+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("healthcheck of %s: %w", addr, err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// It is this machine's own gateway, whatever name its certificate is for.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above; nothing is sent
	}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answers %s", path, response.Status)
	}
	return nil
}

// dialable is where a listening address can be reached from the same machine.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
