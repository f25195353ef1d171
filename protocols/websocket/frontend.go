package websocket

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// Names of the listener options that this package understands.
const (
	optionMaxFrameSize   = "wireFormat.maxFrameSize"
	optionAllowedOrigins = "websocket.allowedOrigins"
	optionCompression    = "websocket.compression"
	optionPingInterval   = "websocket.pingInterval"
)

// DefaultMaxFrameSize is the largest message in bytes, where the listener
// doesn't say.
const DefaultMaxFrameSize = 100 << 20

// Frontend answers HTTP requests and serves what they upgrade to.
type Frontend struct {
	families map[string]protocols.Frontend
	log      *slog.Logger
	engines  *engines
	pool     *buffers
}

// New returns the frontend that carries families: frontends by
// protocols.STOMP, protocols.MQTT, protocols.AMQP. A family that is missing is
// refused with HTTP's 501.
func New(families map[string]protocols.Frontend, log *slog.Logger) *Frontend {
	return &Frontend{families: maps.Clone(families), log: log, engines: newEngines(), pool: new(buffers)}
}

// Name implements protocols.Frontend.
func (f *Frontend) Name() string { return protocols.WebSocket }

// Options implements protocols.Frontend: its own and those of all families.
func (f *Frontend) Options() []string {
	names := []string{optionMaxFrameSize, optionAllowedOrigins, optionCompression, optionPingInterval}
	for _, inner := range f.families {
		names = append(names, inner.Options()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckOptions implements protocols.OptionChecker.
func (f *Frontend) CheckOptions(v protocols.Values) error {
	_, err := readSettings(v)
	errs := []error{err}
	for _, name := range slices.Sorted(maps.Keys(f.families)) {
		if k, ok := f.families[name].(protocols.OptionChecker); ok {
			errs = append(errs, k.CheckOptions(v.For(name)))
		}
	}
	return errors.Join(errs...)
}

// settings are a listener's options.
type settings struct {
	maxFrameSize   int // bytes
	allowedOrigins []string
	compression    bool
	pingInterval   time.Duration // 0 for no pings
	text           bool          // the protocol is made of text: STOMP
}

func readSettings(v protocols.Values) (settings, error) {
	var s settings
	var errs [3]error
	s.maxFrameSize, errs[0] = v.Size(optionMaxFrameSize, DefaultMaxFrameSize)
	s.compression, errs[1] = v.Bool(optionCompression, false)
	s.pingInterval, errs[2] = v.Duration(optionPingInterval, 0)
	s.allowedOrigins = v.List(optionAllowedOrigins)
	return s, errors.Join(errs[:]...)
}

// Serve implements protocols.Frontend.
func (f *Frontend) Serve(c *protocols.Conn) {
	set, err := readSettings(c.Values)
	if err != nil {
		f.misconfigured(c, err)
		return
	}
	w := newWire(c, f.pool)
	r, err := readRequest(w)
	if err != nil {
		f.refuse(c, asRefusal(err), nil)
		return
	}
	family, subprotocol, err := f.examine(c, r, set)
	if err != nil {
		f.refuse(c, asRefusal(err), r)
		return
	}
	values := c.Values.For(family)
	if set, err = readSettings(values); err != nil {
		f.misconfigured(c, err)
		return
	}
	set.text = family == protocols.STOMP
	ws, err := f.engines.upgrade(w, r, subprotocol, set)
	if err != nil {
		f.refuse(c, asRefusal(err), r)
		return
	}
	defer ws.end()
	inner := *c
	inner.Conn, inner.Subprotocol, inner.Values = ws, subprotocol, values
	f.families[family].Serve(&inner)
}

// misconfigured ends a connection of a listener whose options nobody checked
// when it started.
func (f *Frontend) misconfigured(c *protocols.Conn, err error) {
	f.log.Error("listener options are wrong", "listener", c.Listener, "error", err)
	c.Abort()
}

// examine finds whom a request asks for. A refusal is an error.
func (f *Frontend) examine(c *protocols.Conn, r *http.Request, set settings) (family, subprotocol string, err error) {
	if err := checkRequest(r); err != nil {
		return "", "", err
	}
	if !isUpgrade(r) {
		return "", "", &refusal{status: http.StatusOK, text: f.greeting()}
	}
	if !headerHas(r.Header, "Sec-Websocket-Version", "13") {
		return "", "", refuse(http.StatusUpgradeRequired, "This port speaks version 13 of WebSocket.")
	}
	if err := checkOrigin(c, r, set.allowedOrigins); err != nil {
		f.log.Info("WebSocket refused", "conn", c.ID, "remote", c.Remote, "listener", c.Listener, "error", err)
		return "", "", err
	}
	if family, subprotocol, err = chooseSubprotocol(r); err != nil {
		return "", "", err
	}
	if f.families[family] == nil {
		return "", "", refuse(http.StatusNotImplemented, "%s over WebSocket is not served here. %s", family, f.greeting())
	}
	return family, subprotocol, nil
}
