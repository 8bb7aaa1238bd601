package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// named refuses requests under a foreign name where nobody is asked who they are. A page of any site can give its own name
// the gateway's address once it is loaded (DNS rebinding): the browser then takes the two for one origin, and lets the page
// read inboxes and publish. What it cannot do is to call the gateway by another name than its own.
func (a *API) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isProbe(r.URL.Path) && !a.isOurs(r.Host) {
			a.log.LogAttrs(r.Context(), slog.LevelDebug, "foreign host", slog.String("host", r.Host))
			a.fail(w, r, newProblem(http.StatusMisdirectedRequest, "misdirected", "Misdirected request",
				"host: it is none of the names by which this gateway may be called while nobody is asked who they are; "+
					"call it by localhost or its address, add the name to GATEWAY_HOSTS, or ask for tokens with GATEWAY_AUTH=jwt"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isProbe tells what is asked for by those who run the gateway, under names of their own, and says nothing of anybody.
func isProbe(path string) bool {
	return slices.Contains([]string{"/healthz", "/readyz", "/version", "/metrics"}, path)
}

// isOurs reports whether the gateway may be called by host: an address, localhost or below, or a name that is configured.
// A request without a name is of HTTP/1.0, and of no browser.
func (a *API) isOurs(host string) bool {
	name := strings.ToLower(hostname(host))
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	return slices.ContainsFunc(a.opts.Hosts, func(known string) bool {
		known = strings.ToLower(known)
		if below, wild := strings.CutPrefix(known, "*"); wild {
			return strings.HasSuffix(name, below)
		}
		return name == known
	})
}

// hostname is the name or address of a Host header, without the port and the dot that may end a name.
func hostname(host string) string {
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host = host[:colon]
	}
	return strings.TrimSuffix(host, ".")
}
