package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"sse-gateway/internal/web"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// served is every file by its URL path, read from the source and not from the handler that is tested.
func served(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	root := os.DirFS("static")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		files["/"+strings.TrimSuffix(name, "index.html")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func request(method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w
}

func TestHandler_ServesEveryFile(t *testing.T) {
	types := map[string]string{
		"":     "text/html; charset=utf-8",
		".css": "text/css; charset=utf-8",
		".js":  "text/javascript; charset=utf-8",
		".svg": "image/svg+xml",
		".ts":  "text/plain; charset=utf-8",
	}
	for target, content := range served(t) {
		w := request(http.MethodGet, target, nil)
		if w.Code != http.StatusOK || (target != "/gateway.js" && w.Body.String() != content) {
			t.Errorf("GET %s: got %d and %d bytes, want 200 and %d bytes", target, w.Code, w.Body.Len(), len(content))
		}
		if got, want := w.Header().Get("Content-Type"), types[path.Ext(target)]; got != want {
			t.Errorf("GET %s: got type %q, want %q", target, got, want)
		}
	}
}

func TestHandler_AnswersWithoutBodyToHead(t *testing.T) {
	w := request(http.MethodHead, "/?user=jack&topics=chatgpt|robot", nil)
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("got %d, %d bytes, Content-Length %q", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestHandler_SendsSecurityHeadersWithEverything(t *testing.T) {
	for _, target := range []string{"/", "/assets/main.js", "/assets/none.js"} {
		header := request(http.MethodGet, target, nil).Header()
		if got := header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", target, got)
		}
		if got := header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy %q", target, got)
		}
		policy := make(map[string]string)
		for directive := range strings.SplitSeq(header.Get("Content-Security-Policy"), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
			policy[name] = value
		}
		want := map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'",
			"connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
			"require-trusted-types-for": "'script'", "trusted-types": "'none'",
		}
		for name, value := range want {
			if policy[name] != value {
				t.Errorf("%s: policy %s is %q, want %q", target, name, policy[name], value)
			}
		}
		if len(policy) != len(want) {
			t.Errorf("%s: policy has other directives: %v", target, policy)
		}
	}
}

func TestHandler_RevalidatesByContent(t *testing.T) {
	tags := make(map[string]string)
	for target := range served(t) {
		header := request(http.MethodGet, target, nil).Header()
		tag := header.Get("ETag")
		if other, taken := tags[tag]; taken || len(tag) < 10 {
			t.Errorf("%s: ETag %q, as %q", target, tag, other)
		}
		tags[tag] = target
		if got := header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q", target, got)
		}
		again := request(http.MethodGet, target, http.Header{"If-None-Match": {tag}})
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 || again.Header().Get("ETag") != tag {
			t.Errorf("%s with its ETag: got %d and %d bytes", target, again.Code, again.Body.Len())
		}
		if changed := request(http.MethodGet, target, http.Header{"If-None-Match": {`"other"`}}); changed.Code != http.StatusOK {
			t.Errorf("%s with another ETag: got %d", target, changed.Code)
		}
	}
}

func TestHandler_RefusesWithProblem(t *testing.T) {
	cases := []struct {
		name, method, target string
		status               int
	}{
		{"unknown file", http.MethodGet, "/assets/none.js", http.StatusNotFound},
		{"folder", http.MethodGet, "/assets/", http.StatusNotFound},
		{"source path", http.MethodGet, "/static/index.html", http.StatusNotFound},
		{"out of the tree", http.MethodGet, "/assets/../../web.go", http.StatusNotFound},
		{"other method", http.MethodPost, "/", http.StatusMethodNotAllowed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := request(c.method, c.target, nil)
			var problem struct {
				Type, Title, Detail string
				Status              int
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatalf("body %q: %v", w.Body, err)
			}
			if w.Code != c.status || problem.Status != c.status || problem.Title != http.StatusText(c.status) || problem.Detail == "" {
				t.Errorf("got %d %+v, want %d", w.Code, problem, c.status)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("got type %q", got)
			}
			if got := w.Header().Get("Allow"); c.status == http.StatusMethodNotAllowed && got != "GET, HEAD" {
				t.Errorf("got Allow %q", got)
			}
		})
	}
}

// What the policy would block must not be in the files to begin with.
func TestPage_LoadsOnlyItsOwnFiles(t *testing.T) {
	files := served(t)
	reference := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]*)"|url\(([^)]*)\)`)
	used := map[string]bool{"/": true, "/gateway.js": true, "/gateway.d.ts": true}
	for name, content := range files {
		for _, match := range reference.FindAllStringSubmatch(content, -1) {
			target := "/" + match[1]
			if match[2] != "" {
				target = "/assets/" + match[2]
			}
			if _, found := files[target]; !found {
				t.Errorf("%s refers to %s, which is not there", name, match[0])
			}
			used[target] = true
		}
		for _, external := range regexp.MustCompile(`(?:https?:)?//[a-z][\w.-]+\.[a-z]+[^\s"]*`).FindAllString(content, -1) {
			if external != "http://www.w3.org/2000/svg" { // a name, which nobody fetches
				t.Errorf("%s names %s", name, external)
			}
		}
	}
	for name := range files {
		if !used[name] {
			t.Errorf("%s is used by no file", name)
		}
	}
}

func TestPage_HasNoInlineScriptOrStyle(t *testing.T) {
	files := served(t)
	for _, pattern := range []string{`<style`, `<script[^>]*>[^<]`, `\sstyle\s*=`, `\son[a-z]+\s*=`, `javascript:`} {
		if found := regexp.MustCompile(pattern).FindString(files["/"]); found != "" {
			t.Errorf("index.html holds %q", found)
		}
	}
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\b|new Function`)
	for name, content := range files {
		if found := markup.FindString(content); found != "" {
			t.Errorf("%s uses %s: data is text, never markup", name, found)
		}
	}
}

func TestPage_PreloadsEveryModule(t *testing.T) {
	files := served(t)
	for name := range files {
		if path.Ext(name) == ".js" && name != "/gateway.js" && !strings.Contains(files["/"], `="`+strings.TrimPrefix(name, "/")+`"`) {
			t.Errorf("index.html does not name %s: it would be found one round trip later", name)
		}
	}
}

func TestHandler_SendsGzipToWhoTakesIt(t *testing.T) {
	for target := range served(t) {
		plain := request(http.MethodGet, target, nil)
		for accepted, gzipped := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "br": false, "": false} {
			w := request(http.MethodGet, target, http.Header{"Accept-Encoding": {accepted}})
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != gzipped {
				t.Errorf("%s with Accept-Encoding %q: gzip %v, want %v", target, accepted, got, gzipped)
			}
			body := io.Reader(w.Body)
			if gzipped {
				var err error
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			content, err := io.ReadAll(body)
			if err != nil || !bytes.Equal(content, plain.Body.Bytes()) {
				t.Errorf("%s with Accept-Encoding %q: other content (%v)", target, accepted, err)
			}
			if same := w.Header().Get("ETag") == plain.Header().Get("ETag"); same == gzipped || w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s with Accept-Encoding %q: caches cannot tell it apart: ETag %s, Vary %q", target, accepted, w.Header().Get("ETag"), w.Header().Get("Vary"))
			}
		}
	}
}

func TestClient_IsSmall(t *testing.T) {
	w := request(http.MethodGet, "/gateway.js", http.Header{"Accept-Encoding": {"gzip"}})
	if size := w.Body.Len(); size > 4096 {
		t.Errorf("gateway.js takes %d bytes on the wire, want at most 4096", size)
	}
}
