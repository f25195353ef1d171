package openwire

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

// Options are what a frontend needs.
type Options struct {
	Broker *broker.Broker
	// Converters read the messages that clients of other protocols sent.
	Converters message.Converters
	Logger     *slog.Logger
	Version    string // of the product, which clients are told
	// Members returns where else clients of a listener can go: URLs of the
	// group's nodes. Nil outside of a group.
	Members func(listener string) []string
}

// Frontend speaks OpenWire on any number of connections.
type Frontend struct {
	opts       Options
	read       protocols.ListenerSettings[settings]
	advisories atomic.Int64 // made so far
	metrics    metrics

	mu   sync.Mutex
	byID map[string]*conn // by the ConnectionId that a client chose; guarded by mu
}

var (
	_ protocols.Frontend      = (*Frontend)(nil)
	_ protocols.OptionChecker = (*Frontend)(nil)
)

// New makes a frontend.
func New(o Options) *Frontend {
	return &Frontend{opts: o, byID: make(map[string]*conn)}
}

// Name implements protocols.Frontend.
func (f *Frontend) Name() string { return "openwire" }

// Options implements protocols.Frontend.
func (f *Frontend) Options() []string { return slices.Clone(optionNames) }

// CheckOptions implements protocols.OptionChecker. It works without a broker,
// for those who only check a configuration.
func (f *Frontend) CheckOptions(v protocols.Values) error {
	_, err := f.readSettings(v)
	return err
}

func (f *Frontend) readSettings(v protocols.Values) (settings, error) {
	return readSettings(v, f.maxMessage())
}

func (f *Frontend) maxMessage() int {
	if f.opts.Broker == nil {
		return 100 << 20
	}
	return f.opts.Broker.MaxMessage()
}

// Serve implements protocols.Frontend.
func (f *Frontend) Serve(nc *protocols.Conn) { f.serve(nc, "") }

// serve serves a client, or with elsewhere sends it there.
func (f *Frontend) serve(nc *protocols.Conn, elsewhere string) {
	set, err := f.read.Of(nc.Values, f.readSettings)
	if err != nil {
		f.opts.Logger.Error("listener has options that can't be read", "listener", nc.Listener, "err", err)
		_ = nc.Close() // nothing was said yet
		return
	}
	newConn(f, nc, set, elsewhere).serve()
}

// enter registers a connection under the id that its client chose, and returns
// the connection that had it before: a client that reconnects comes with its
// old id, perhaps before the broker knows that the old socket is dead.
func (f *Frontend) enter(id string, c *conn) (older *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	older = f.byID[id]
	f.byID[id] = c
	return older
}

// leave ends what enter began.
func (f *Frontend) leave(id string, c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID[id] == c {
		delete(f.byID, id)
	}
}

// has reports whether a connection with that id is there.
func (f *Frontend) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.byID[id]
	return ok
}
