package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ForeignOrigin reports whether a page of another origin, which is not in allowed, made a browser send this request.
// With a token that came as a cookie such a request must be refused whatever its method: the page could follow the
// user's events. allowed holds origins as browsers write them ("https://app.example.com"); "*" and "null" never count.
//
// A request without an Origin header is not foreign, unless the browser says that another site's page embeds its answer,
// as an image or a script: that page could use up the user's streams. Where the browser says what it knows (Sec-Fetch-Site, on every
// secure origin) that decides, since a proxy may have changed Host and ended TLS; else Origin's host must be Host.
func ForeignOrigin(r *http.Request, allowed []string) bool {
	lines := r.Header.Values("Origin")
	if len(lines) == 0 {
		return embedded(r)
	}
	if len(lines) > 1 {
		return true
	}
	origin := lines[0]
	if origin != "null" && origin != "*" && slices.ContainsFunc(allowed, func(a string) bool {
		return strings.EqualFold(a, origin)
	}) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return false
	case "same-site", "cross-site":
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return true
	}
	if r.TLS != nil && u.Scheme != "https" {
		return true
	}
	return !strings.EqualFold(withoutDefaultPort(u.Host, u.Scheme), withoutDefaultPort(r.Host, u.Scheme))
}

// embedded reports whether a page of another origin asks for something without being able to read it, which browsers do
// without Origin (Fetch Metadata, sections 2.2 and 2.3). A link that is followed is not.
func embedded(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") == "no-cors"
}

func withoutDefaultPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
