package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of a request: the console talks to probes, scrapers and browsers.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxScrapes        = 4 // at a time
)

// Server is a running console.
type Server struct {
	source  Source
	api     http.Handler
	log     *slog.Logger
	http    http.Server
	address net.Addr
	assets  map[string]asset // by path
	served  chan error       // the end of Serve
}

// Options say what a console serves.
type Options struct {
	Address string // host:port; port 0 takes a free one, which Addr tells
	Source  Source
	API     http.Handler // of /api/, /admin/ and /metrics/detailed; nil for none
	Logger  *slog.Logger
}

// Start listens and serves until Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	files, err := assets()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	log := o.Logger
	s := &Server{assets: files, source: o.Source, api: o.API, log: log, address: listener.Addr(), served: make(chan error, 1)}
	s.http = http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// Addr is where the console listens.
func (s *Server) Addr() net.Addr { return s.address }

// Close lets requests end until ctx does, then cuts them off.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /startupz", s.startupz)
	mux.Handle("GET /metrics", s.metrics())
	if s.api != nil {
		mux.Handle("/api/", s.api)
		mux.Handle("/admin/", s.api)
		mux.Handle("/metrics/detailed", s.api)
	}
	mux.Handle("GET /admin/{$}", http.RedirectHandler("/", http.StatusFound)) // where ActiveMQ has its console
	mux.HandleFunc("/", s.page)                                               // without a method: with one it would be at odds with the API's tree
	return mux
}

// reply sends a whole answer with the headers that every answer has.
func reply(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone, and nobody else needs it
}

func replyText(w http.ResponseWriter, status int, text string) {
	reply(w, status, "text/plain; charset=utf-8", []byte(text))
}

// healthz says that the process is alive and answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	replyText(w, http.StatusOK, "ok\n")
}

// startupz says whether the broker has finished starting.
func (s *Server) startupz(w http.ResponseWriter, _ *http.Request) {
	if !s.source.Started() {
		replyText(w, http.StatusServiceUnavailable, "starting\n")
		return
	}
	replyText(w, http.StatusOK, "started\n")
}

// readyz says whether the broker can take traffic; ?verbose lists the checks.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	checks := s.source.Checks()
	status, text := http.StatusOK, "ready\n"
	if !s.ready(checks) {
		status, text = http.StatusServiceUnavailable, "not ready\n"
	}
	b := bytes.NewBufferString(text)
	for _, c := range checks {
		switch {
		case c.Err != nil:
			fmt.Fprintf(b, "[-] %s: %v\n", c.Name, c.Err)
		case r.URL.Query().Has("verbose"):
			fmt.Fprintf(b, "[+] %s\n", c.Name)
		}
	}
	reply(w, status, "text/plain; charset=utf-8", b.Bytes())
}

func (s *Server) ready(checks []Check) bool {
	for _, c := range checks {
		if c.Err != nil {
			return false
		}
	}
	return s.source.Started()
}

// metrics serves what a Prometheus server scrapes.
func (s *Server) metrics() http.Handler {
	all := prometheus.NewRegistry()
	// What the last collection found alive shows a leak, which the heap's size with its garbage hides.
	runtime := collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
		collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}))
	all.MustRegister(newCollector(s.source), runtime, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError), MaxRequestsInFlight: maxScrapes})
}
