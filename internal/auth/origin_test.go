package auth

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestForeignOrigin(t *testing.T) {
	allowed := []string{"https://app.example.com", "capacitor://localhost", "*", "null"}
	for _, tt := range []struct {
		name    string
		origins []string
		host    string
		site    string // Sec-Fetch-Site
		mode    string // Sec-Fetch-Mode
		tls     bool
		want    bool
	}{
		{name: "no origin", host: "gw.example.com"},
		{name: "no origin, cross-site", host: "gw.example.com", site: "cross-site"},
		{name: "no origin, a link from another site", host: "gw.example.com", site: "cross-site", mode: "navigate"},
		{name: "no origin, an image on another site", host: "gw.example.com", site: "cross-site", mode: "no-cors", want: true},
		{name: "no origin, a script on a sibling", host: "gw.example.com", site: "same-site", mode: "no-cors", want: true},
		{name: "no origin, an image of our own", host: "gw.example.com", site: "same-origin", mode: "no-cors"},
		{name: "same host", origins: []string{"http://gw.example.com"}, host: "gw.example.com"},
		{name: "same host, TLS ended by a proxy", origins: []string{"https://gw.example.com"}, host: "gw.example.com"},
		{name: "same host and port", origins: []string{"http://localhost:8000"}, host: "localhost:8000"},
		{name: "default port", origins: []string{"https://gw.example.com"}, host: "gw.example.com:443"},
		{name: "case", origins: []string{"https://GW.example.com"}, host: "gw.example.com"},
		{name: "another port", origins: []string{"http://localhost:3000"}, host: "localhost:8000", want: true},
		{name: "another host", origins: []string{"https://evil.example"}, host: "gw.example.com", want: true},
		{name: "a host that begins alike", origins: []string{"https://gw.example.com.evil.example"}, host: "gw.example.com", want: true},
		{name: "user part", origins: []string{"https://gw.example.com@evil.example"}, host: "gw.example.com", want: true},
		{name: "plain page, TLS here", origins: []string{"http://gw.example.com"}, host: "gw.example.com", tls: true, want: true},
		{name: "TLS page, TLS here", origins: []string{"https://gw.example.com"}, host: "gw.example.com", tls: true},
		{name: "listed", origins: []string{"https://app.example.com"}, host: "gw.example.com", site: "cross-site"},
		{name: "listed app", origins: []string{"capacitor://localhost"}, host: "gw.example.com"},
		{name: "app that is not listed", origins: []string{"tauri://localhost"}, host: "localhost", want: true},
		{name: "listed, other scheme", origins: []string{"http://app.example.com"}, host: "gw.example.com", want: true},
		{name: "star is no origin", origins: []string{"*"}, host: "gw.example.com", want: true},
		{name: "null is never listed", origins: []string{"null"}, host: "gw.example.com", want: true},
		{name: "empty", origins: []string{""}, host: "gw.example.com", want: true},
		{name: "garbage", origins: []string{"://"}, host: "gw.example.com", want: true},
		{name: "file", origins: []string{"file://gw.example.com"}, host: "gw.example.com", want: true},
		{name: "two origins", origins: []string{"http://gw.example.com", "https://evil.example"}, host: "gw.example.com", want: true},
		{name: "host changed by a proxy", origins: []string{"https://www.example.com"}, host: "gateway:8000", site: "same-origin"},
		{name: "host changed by a proxy, sibling", origins: []string{"https://x.example.com"}, host: "gateway:8000", site: "same-site", want: true},
		{name: "same host, other scheme, says the browser", origins: []string{"http://gw.example.com"}, host: "gw.example.com", site: "cross-site", want: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/subscribe", http.NoBody)
			r.Host = tt.host
			for _, origin := range tt.origins {
				r.Header.Add("Origin", origin)
			}
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			if tt.mode != "" {
				r.Header.Set("Sec-Fetch-Mode", tt.mode)
			}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got := ForeignOrigin(r, allowed); got != tt.want {
				t.Errorf("ForeignOrigin = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCheckOrigin(t *testing.T) {
	for _, origin := range []string{
		"https://app.example.com", "http://localhost:3000", "https://app.example.com:8443", "http://app.example.com:443", "https://App.Example.COM",
		"http://127.0.0.1:8080", "http://[::1]:3000", "https://xn--bcher-kva.example", "capacitor://localhost", "ionic://localhost",
		"tauri://localhost", "https://tauri.localhost", "app://obsidian.md", "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
		"moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc", "vscode-webview://0a1b2c",
	} {
		if err := CheckOrigin(origin); err != nil {
			t.Errorf("%s %v", origin, err)
		}
	}
	for origin, want := range map[string]string{
		"null": "cannot be listed", "file://": "cannot be listed", "file:///home/index.html": "cannot be listed",
		"": "is not an origin", "example.com": "is not an origin", "//example.com": "is not an origin", "https://": "is not an origin",
		"https:example.com": "is not an origin", "https://:8443": "is not an origin", "https://a.example:": "is not an origin", "1app://x": "is not an origin",
		"https://jack@a.example": "is not an origin", "https://a.example:x": "is not an origin", "https://[::1": "is not an origin",
		"https://a.example/": "is more than", "https://a.example/path": "is more than", "https://a.example?x": "is more than", "https://a.example#x": "is more than",
		"https://*.example.com": "has a *", "https://*": "has a *", "*://a.example": "is not an origin", "https://a.example:*": "has a *",
		"https://bücher.example": "is not written", "https://a b.example": "is not written",
		"https://a.example:443": "has the default port", "http://a.example:80": "has the default port", "HTTPS://a.example:443": "has the default port",
		"https://a.example:0": "has a port", "https://a.example:08443": "has a port", "https://a.example:65536": "has a port",
		"http://[0:0:0:0:0:0:0:1]:3000": "has an address",
	} {
		if err := CheckOrigin(origin); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want that it %s", origin, err, want)
		}
	}
}
