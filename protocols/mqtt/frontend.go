package mqtt

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

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
	// Server is the product and version that $SYS/broker/version shows.
	Server string
}

// Frontend speaks MQTT on any number of connections.
type Frontend struct {
	opts    Options
	metrics metrics
	sys     sysTopics

	mu   sync.Mutex
	read []listenerSettings
}

// listenerSettings are what a listener's options were read as. Its connections
// share them.
type listenerSettings struct {
	values protocols.Values
	set    *settings
}

// maxListeners bounds what is kept when listeners come and go.
const maxListeners = 64

var (
	_ protocols.Frontend      = (*Frontend)(nil)
	_ protocols.OptionChecker = (*Frontend)(nil)
)

// New makes a frontend.
func New(o Options) *Frontend {
	if o.Server == "" {
		o.Server = "Entrepot"
	}
	f := &Frontend{opts: o}
	f.sys.started = time.Now()
	return f
}

// Name implements protocols.Frontend.
func (f *Frontend) Name() string { return "mqtt" }

// Options implements protocols.Frontend.
func (f *Frontend) Options() []string { return slices.Clone(optionNames) }

// CheckOptions implements protocols.OptionChecker. It works without a broker,
// for those who only check a configuration.
func (f *Frontend) CheckOptions(v protocols.Values) error {
	_, err := readSettings(v, f.maxMessage())
	return err
}

// settingsOf returns a listener's options as they were read for its first
// connection.
func (f *Frontend) settingsOf(v protocols.Values) (*settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.read {
		if maps.Equal(f.read[i].values, v) {
			return f.read[i].set, nil
		}
	}
	set, err := readSettings(v, f.maxMessage())
	if err != nil {
		return nil, err
	}
	if len(f.read) >= maxListeners {
		f.read = nil
	}
	f.read = append(f.read, listenerSettings{v, &set})
	return &set, nil
}

func (f *Frontend) maxMessage() int {
	if f.opts.Broker == nil {
		return defaultMessage
	}
	return f.opts.Broker.MaxMessage()
}

// Serve implements protocols.Frontend.
func (f *Frontend) Serve(nc *protocols.Conn) {
	c := newConn(f, nc)
	if err := c.configure(); err != nil {
		c.log.Error("listener has options that can't be read", "listener", nc.Listener, "err", err)
		_ = nc.Close() // nothing was said yet
		return
	}
	c.serve()
}
