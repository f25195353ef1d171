package amqp

import (
	"log/slog"
	"slices"

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
	// Name is the broker's, shown as container id.
	Name string
	// Server is the product and version that open shows, "Entrepot/1.0".
	Server string
}

// Frontend speaks AMQP 1.0 on any number of connections.
type Frontend struct {
	opts    Options
	metrics metrics

	read protocols.ListenerSettings[settings]
}

var (
	_ protocols.Frontend      = (*Frontend)(nil)
	_ protocols.OptionChecker = (*Frontend)(nil)
)

// New makes a frontend.
func New(o Options) *Frontend {
	if o.Server == "" {
		o.Server = "Entrepot"
	}
	return &Frontend{opts: o}
}

// Name implements protocols.Frontend.
func (f *Frontend) Name() string { return "amqp" }

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
		return defaultMessage
	}
	return f.opts.Broker.MaxMessage()
}

// Serve implements protocols.Frontend.
func (f *Frontend) Serve(nc *protocols.Conn) { f.serve(nc, "") }

// serve serves a client, or tells it to go elsewhere.
func (f *Frontend) serve(nc *protocols.Conn, elsewhere string) {
	c := newConn(f, nc)
	c.elsewhere = elsewhere
	if err := c.configure(); err != nil {
		c.log.Error("listener has options that can't be read", "listener", nc.Listener, "err", err)
		_ = nc.Close() // nothing was said yet
		return
	}
	c.serve()
}
