package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// problem is an error that is ready to be shown.
type problem struct {
	status int
	detail string
	more   map[string]any // members beside RFC 9457's
}

func (p *problem) Error() string { return p.detail }

func invalid(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, detail: fmt.Sprintf(format, args...)}
}

// status returns the HTTP status of a broker's error.
func status(c broker.Code) int {
	switch c {
	case broker.CodeInvalid:
		return http.StatusBadRequest
	case broker.CodeNotFound:
		return http.StatusNotFound
	case broker.CodeExists, broker.CodeInUse, broker.CodeState:
		return http.StatusConflict
	case broker.CodeUnauthorized:
		return http.StatusUnauthorized
	case broker.CodeForbidden:
		return http.StatusForbidden
	case broker.CodeLimit:
		return http.StatusTooManyRequests
	case broker.CodeFull:
		return http.StatusInsufficientStorage
	case broker.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case broker.CodeUnavailable:
		return http.StatusServiceUnavailable
	case broker.CodeNotSupported:
		return http.StatusNotImplemented
	case broker.CodeInternal:
	}
	return http.StatusInternalServerError
}

// asProblem makes a problem of any error.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{
			status: http.StatusRequestEntityTooLarge,
			detail: fmt.Sprintf("the body is longer than %d bytes", tooLong.Limit),
		}
	}
	code := broker.CodeOf(err)
	return &problem{status: status(code), detail: err.Error(), more: map[string]any{"code": code.String()}}
}

// fail answers with an error. What is wrong inside goes to the log only.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := asProblem(err)
	detail := p.detail
	if p.status == http.StatusInternalServerError {
		a.o.Logger.Error("an API request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		detail = "the broker failed at this; its log says why"
	}
	// A browser must not ask for a password by itself what the console's page asks for.
	if p.status == http.StatusUnauthorized && r.Header.Get("Sec-Fetch-Dest") != "empty" {
		w.Header().Set("WWW-Authenticate", `Basic realm="entrepot", charset="UTF-8"`)
	}
	body := map[string]any{"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": detail}
	maps.Copy(body, p.more)
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	_, _ = w.Write(append(b, '\n')) // the client may be gone
}
