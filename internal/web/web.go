// Package web holds what the gateway serves to browsers: gateway.js, a client whose tabs share one stream, and the page at
// "/", which shows the events as they come and can publish. It is plain files, embedded in the binary: no build step,
// nothing loaded from elsewhere, and a Content-Security-Policy that would not let it be.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// policy lets the page load its own script and style, talk to its own origin, and nothing else. Trusted types turn
// "data is text, never markup" from a habit into something that the browser enforces.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// client is the one file that pages of others load: it is served without its comments, to be small.
const client = "/gateway.js"

// asset is one embedded file as it is served.
type asset struct {
	content     []byte
	packed      []byte // content, compressed by gzip
	contentType string
	etag        string // strong, of the content
}

type handler struct {
	assets map[string]asset // by URL path; read-only
}

// Handler serves the page at "/", its files under "/assets/", and the client with its types at "/gateway.js" and
// "/gateway.d.ts", to GET and HEAD. Whatever else it is asked for is
// answered with a problem (RFC 9457). It may be mounted under a prefix that was stripped: the page's own references
// are relative.
//
// Files carry the hash of their content as ETag and have to be revalidated, so that a page never runs with the script
// of another version than its own for longer than one reload.
func Handler() http.Handler {
	h := &handler{assets: make(map[string]asset)}
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		h.assets[urlPath(name)] = newAsset(name, content)
		return nil
	})
	if err != nil {
		panic("web: embedded files: " + err.Error()) // they are part of the binary: reading them cannot fail
	}
	return h
}

func newAsset(name string, content []byte) asset {
	if urlPath(name) == client {
		content = uncommented(content)
	}
	sum := sha256.Sum256(content)
	return asset{
		content:     content,
		packed:      pack(content),
		contentType: contentType(name),
		etag:        base64.RawURLEncoding.EncodeToString(sum[:12]),
	}
}

// uncommented leaves out indentation, empty lines, and what stands behind "//", which in client is never anything but a comment.
func uncommented(source []byte) []byte {
	var bare []byte
	for line := range bytes.Lines(source) {
		line, _, _ = bytes.Cut(bytes.TrimSpace(line), []byte(" // "))
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			bare = append(append(bare, line...), '\n')
		}
	}
	return bare
}

func pack(content []byte) []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level exists
	_, _ = w.Write(content)                                    // a buffer takes everything
	_ = w.Close()
	return packed.Bytes()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	file, found := h.assets[r.URL.Path]
	switch {
	case !found:
		writeProblem(w, http.StatusNotFound, "The page has no such file.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		writeProblem(w, http.StatusMethodNotAllowed, "The page can only be read.")
	default:
		file.serve(w, r)
	}
}

// serve answers If-None-Match by the ETag, which each encoding has of its own.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", a.contentType)
	header.Add("Vary", "Accept-Encoding")
	content, suffix := a.content, ""
	if takesGzip(r.Header) {
		header.Set("Content-Encoding", "gzip")
		content, suffix = a.packed, "-gzip"
	}
	header.Set("ETag", `"`+a.etag+suffix+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip tells whether a client names gzip, and not to refuse it.
func takesGzip(header http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";q=")
		if q, err := strconv.ParseFloat(weight, 64); strings.EqualFold(name, "gzip") && (err != nil || q > 0) {
			return true
		}
	}
	return false
}

// writeProblem answers with a problem whose detail needs no JSON escapes.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body := `{"type":"about:blank","title":"` + http.StatusText(status) + `","status":` + strconv.Itoa(status) +
		`,"detail":"` + detail + `"}` + "\n"
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the reader has gone: nobody is left to tell
}

// urlPath is where an embedded file is served.
func urlPath(name string) string {
	name = strings.TrimPrefix(name, "static")
	if name == "/index.html" {
		return "/"
	}
	return name
}

// contentType names the few types that there are here: package mime would ask the system it runs on.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".ts":
		return "text/plain; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
