package auth

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
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

// origins have a scheme (RFC 3986, section 3.1), which need not be one of the web: apps and extensions have theirs.
var originPattern = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(.+)$`)

// CheckOrigin tells why no browser ever sends origin as the Origin of a page, so that to list it would have no effect. The
// error goes on from the origin, which it does not repeat.
func CheckOrigin(origin string) error {
	parts := originPattern.FindStringSubmatch(origin)
	switch {
	case origin == "null" || strings.HasPrefix(origin, "file:"):
		return errors.New("cannot be listed: pages from files, and all others without an origin, send null")
	case parts == nil:
		return errors.New("is not an origin such as https://example.com")
	case strings.Contains(origin, "*"):
		return errors.New("has a * within: list each origin by its name, or * alone for any")
	case strings.ContainsAny(parts[2], `/\?#`):
		return errors.New("is more than an origin such as https://example.com: leave out the slash, and what is behind it")
	case strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("is not written as browsers send it: in ASCII, a name in other letters as xn--…")
	}
	u, err := url.Parse(origin)
	if err != nil || u.User != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return errors.New("is not an origin such as https://example.com")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !strings.EqualFold(addr.String(), u.Hostname()) {
		return errors.New("has an address that browsers write in another way")
	}
	return checkPort(strings.ToLower(u.Scheme), u.Port())
}

func checkPort(scheme, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case port == "":
		return nil
	case err != nil || n == 0 || strconv.FormatUint(n, 10) != port:
		return errors.New("has a port that is none")
	case (scheme == "https" && n == 443) || (scheme == "http" && n == 80):
		return errors.New("has the default port of its scheme, which browsers leave out: leave it out, too")
	}
	return nil
}

func withoutDefaultPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
