package console

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
)

//go:embed ui
var ui embed.FS

// asset is a file of the console's page, as it is served.
type asset struct {
	contentType, tag string
	body             []byte
}

// pagePolicy lets the page load nothing but its own files, run no script that
// stands in markup, and be framed by nobody.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// assets reads the page's files, by the path at which they are served.
func assets() (map[string]asset, error) {
	all := make(map[string]asset)
	err := fs.WalkDir(ui, "ui", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := ui.ReadFile(name)
		if err != nil {
			return err
		}
		a := asset{contentType: contentTypes[path.Ext(name)], body: body}
		if a.contentType == "" {
			return fmt.Errorf("%s has no content type", name)
		}
		sum := sha256.Sum256(body)
		a.tag = `"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`
		at := "/" + name
		if name == "ui/index.html" {
			at = "/"
		}
		all[at] = a
		return nil
	})
	return all, err
}

// page serves the console's files and nothing else. What the page shows it
// asks the API for, with the reader's own rights.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
		return
	}
	a, ok := s.assets[r.URL.Path]
	if !ok {
		http.Error(w, "nothing here: try /, /metrics or /api/v1/openapi.yaml", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // the next version has the same names
	h.Set("ETag", a.tag)
	h.Set("Content-Type", a.contentType)
	if r.Header.Get("If-None-Match") == a.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(a.body) // the client may be gone, and nobody else needs it
}
