package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed ui
var ui embed.FS

var indexPage = template.Must(template.ParseFS(ui, "ui/index.html"))

// index serves the landing page.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path != "/" {
		http.Error(w, "nothing here: try / or /metrics", http.StatusNotFound)
		return
	}
	checks := s.source.Checks()
	stats := s.source.Stats()
	var b bytes.Buffer
	err := indexPage.Execute(&b, map[string]any{
		"Stats": stats, "Checks": checks, "Ready": s.ready(checks),
		"Uptime": time.Since(stats.StartedAt).Round(time.Second), "StoreSize": size(stats.LogSize + stats.PagesSize),
	})
	if err != nil {
		s.log.Error("rendering the landing page failed", "error", err)
		http.Error(w, "the page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	reply(w, http.StatusOK, "text/html; charset=utf-8", b.Bytes())
}

func (s *Server) style(w http.ResponseWriter, _ *http.Request) {
	css, err := ui.ReadFile("ui/style.css")
	if err != nil {
		panic(err) // it is part of the program
	}
	reply(w, http.StatusOK, "text/css; charset=utf-8", css)
}

// size writes bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
