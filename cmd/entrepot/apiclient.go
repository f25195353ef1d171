package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// apiFlags are what a command needs to reach a broker's HTTP API.
type apiFlags struct {
	console string
	login   string
	timeout time.Duration
	output  string
}

func (a *apiFlags) register(f *pflag.FlagSet) {
	f.StringVar(&a.console, "console", "", "the broker's console: host:port or an http(s) address\n(default ENTREPOT_CONSOLE_ADDRESS or 127.0.0.1:8161)")
	f.StringVar(&a.login, "login", "", "user (default ENTREPOT_LOGIN); the password is read from ENTREPOT_PASSCODE,\nor the file that ENTREPOT_PASSCODE_FILE names")
	f.DurationVar(&a.timeout, "timeout", 30*time.Second, "longest time to wait for an answer")
	f.StringVarP(&a.output, "output", "o", "table", "table, wide, json, jsonl or yaml")
}

// remote is a broker's API.
type remote struct {
	base     string
	login    string
	passcode string
	client   http.Client
	timeout  time.Duration
}

func (p *program) remote(a *apiFlags) (*remote, error) {
	address := a.console
	if address == "" {
		address = p.getenv(config.EnvPrefix + "CONSOLE_ADDRESS")
	}
	if address == "" {
		address = config.Default().Console.Address
	}
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, usagef("--console %q is neither host:port nor an http address", address)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		address = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usagef("--console %q is neither host:port nor an http address", address)
	}
	r := &remote{base: strings.TrimSuffix(address, "/") + "/api/v1", login: a.login, timeout: a.timeout}
	if r.login == "" {
		r.login = p.getenv(config.EnvPrefix + "LOGIN")
	}
	if r.passcode, err = p.passcodeFrom(""); err != nil {
		return nil, fmt.Errorf("read the passcode: %w", err)
	}
	if ip := net.ParseIP(u.Hostname()); r.passcode != "" && u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		fmt.Fprintf(p.err, "entrepot: the password goes to %s unencrypted; https:// would protect it\n", u.Host)
	}
	r.client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	return r, nil
}

// element escapes a name as one element of a path; "." and ".." too, which
// would be steps.
func element(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// refusedError is an answer that says no.
type refusedError struct {
	status int
	detail string
}

func (e *refusedError) Error() string { return e.detail }

// ExitCode implements coded.
func (e *refusedError) ExitCode() int {
	switch e.status {
	case http.StatusBadRequest:
		return exitUsage
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitAuth
	case http.StatusConflict:
		return exitConflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		return exitTempFail
	}
	return exitError
}

// open sends a request and returns the answer's body, if it was a good one.
func (r *remote) open(ctx context.Context, method, path string, query url.Values, contentType string, body io.Reader) (io.ReadCloser, error) {
	address := r.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if r.login != "" || r.passcode != "" {
		req.SetBasicAuth(r.login, r.passcode)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, r.explain(err)
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	const longest = 64 << 10
	b, err := io.ReadAll(io.LimitReader(resp.Body, longest))
	if err != nil {
		return nil, err
	}
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(b, &problem) != nil || problem.Detail == "" {
		problem.Detail = fmt.Sprintf("%s answers %s: is it a broker's console?", r.base, resp.Status)
	}
	return nil, &refusedError{resp.StatusCode, problem.Detail}
}

func (r *remote) explain(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &timeoutError{"no answer from " + r.base + " in time"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: start a broker with \"entrepot serve\", or name its console with --console", r.base)
	}
	return fmt.Errorf("can't ask %s: %w", r.base, err)
}

// call sends in as JSON, unless it is nil, and decodes the answer into out,
// unless that is nil.
func (r *remote) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var body io.Reader
	contentType := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, contentType = bytes.NewReader(b), "application/json"
	}
	answer, err := r.open(ctx, method, path, query, contentType, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if out == nil {
		return nil
	}
	d := json.NewDecoder(answer)
	d.UseNumber() // counters are longer than a float is exact
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("the answer of %s is not what was expected: %w", r.base, err)
	}
	return nil
}
