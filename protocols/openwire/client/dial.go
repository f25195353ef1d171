package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Options say how to connect. The zero value suits a broker that lets anybody
// in.
type Options struct {
	TLS            *tls.Config // nil: none
	User, Password string
	ClientID       string // "": made up; durable subscriptions belong to it
	// Broker introduces the client as a broker's network connector.
	Broker *wire.BrokerInfo
	// Format is what is offered to the broker, which may know less. The zero
	// value is version 12, loose, without cache.
	Format wire.Format
	// Inactivity is how long either side may say nothing [30 s]; negative is
	// for ever.
	Inactivity time.Duration
	MaxFrame   int // bytes [100 MiB and a little]
	// FailOver says that the client goes on elsewhere when the connection
	// breaks: the broker tells it where, and remembers what it sent.
	FailOver bool
	// OnCommand gets what the broker says besides answers and deliveries: nil
	// ignores it.
	OnCommand func(wire.Structure)
}

const (
	firstFrame       = 64 << 10
	defaultMaxFrame  = 100<<20 + 64<<10
	defaultIdle      = 30 * time.Second
	propertyTight    = "TightEncodingEnabled"
	propertyCache    = "CacheEnabled"
	propertySize     = "CacheSize"
	propertyIdle     = "MaxInactivityDuration"
	propertyDelay    = "MaxInactivityDurationInitalDelay" // sic
	propertyProvider = "ProviderName"
)

var magic = [8]byte{'A', 'c', 't', 'i', 'v', 'e', 'M', 'Q'}

// Dial connects to address (host:port), agrees on a format and logs in.
func Dial(ctx context.Context, address string, o Options) (*Conn, error) {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	var (
		nc  net.Conn
		err error
	)
	if o.TLS != nil {
		nc, err = (&tls.Dialer{NetDialer: dialer, Config: o.TLS}).DialContext(ctx, "tcp", address)
	} else {
		nc, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return New(ctx, nc, o)
}

// DialAny connects to the first of several addresses that lets it in, in their
// order. The error has each one's.
func DialAny(ctx context.Context, addresses []string, o Options) (*Conn, error) {
	var errs []error
	for _, a := range addresses {
		c, err := Dial(ctx, a, o)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", a, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// New makes a connection of a byte stream, which it owns from then on, also
// when it fails.
func New(ctx context.Context, nc net.Conn, o Options) (*Conn, error) {
	o = o.withDefaults()
	c := &Conn{
		net: nc, o: o, id: "ID:entrepot-" + random(), encoder: wire.NewEncoder(wire.Format{}),
		answers: map[int32]func(wire.Structure, error){}, consumers: map[consumerKey]*Consumer{}, producers: map[int64]*Producer{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), introduced: make(chan struct{}),
	}
	c.room.L = &c.mu
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) }) // breaks what is under way
	in := bufio.NewReaderSize(nc, readBuffer)
	d, err := c.negotiate(in)
	if err == nil {
		c.wg.Go(func() { c.read(in, d) })
		c.wg.Go(c.write)
		err = c.login(ctx)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		c.end(err)
		c.wg.Wait()
		return nil, err
	}
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.Format.Version == 0 {
		o.Format.Version = wire.MaxVersion
	}
	if o.Inactivity == 0 {
		o.Inactivity = defaultIdle
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = defaultMaxFrame
	}
	if o.ClientID == "" {
		o.ClientID = "ID:entrepot-client-" + random()
	}
	return o
}

func random() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// negotiate exchanges WireFormatInfos (openwire.md, 6) and reads how the broker
// introduces itself.
func (c *Conn) negotiate(in *bufio.Reader) (*wire.Decoder, error) {
	idle := max(c.o.Inactivity, 0)
	offer := &wire.WireFormatInfo{Magic: magic, Version: int32(c.o.Format.Version), MarshalledProperties: wire.AppendMap(nil, []message.Property{
		{Name: propertyTight, Value: message.BoolValue(c.o.Format.Tight)},
		{Name: propertyCache, Value: message.BoolValue(c.o.Format.CacheSize > 0)},
		{Name: propertySize, Value: message.Int32Value(int32(max(c.o.Format.CacheSize, 1024)))},
		{Name: propertyIdle, Value: message.Int64Value(idle.Milliseconds())},
		{Name: propertyDelay, Value: message.Int64Value(idle.Milliseconds())},
		{Name: propertyProvider, Value: message.StringValue("Entrepot")},
	})}
	hello, err := c.encoder.Append(nil, offer)
	if err != nil {
		return nil, err
	}
	if _, err := c.net.Write(hello); err != nil {
		return nil, fmt.Errorf("send WireFormatInfo: %w", err)
	}
	s, err := readFrame(in, wire.NewDecoder(wire.Format{}), firstFrame)
	if err != nil {
		return nil, fmt.Errorf("wait for WireFormatInfo: %w; is this an OpenWire port?", err)
	}
	info, ok := s.(*wire.WireFormatInfo)
	if !ok || info.Magic != magic || info.Version < 1 {
		return nil, errors.New("what answers does not speak OpenWire")
	}
	theirs, err := wire.ReadMap(info.MarshalledProperties)
	if err != nil {
		return nil, fmt.Errorf("the broker's WireFormatInfo: %w", err)
	}
	agreed := c.agree(info, theirs)
	c.encoder = wire.NewEncoder(agreed)
	return wire.NewDecoder(agreed), nil
}

// agree works out what both sides' infos lead to.
func (c *Conn) agree(info *wire.WireFormatInfo, theirs []message.Property) wire.Format {
	mine := c.o.Format
	f := wire.Format{Version: min(mine.Version, int(info.Version))}
	size, cache := int64(0), false
	for _, p := range theirs {
		on, _ := p.Value.Bool()
		n, _ := p.Value.Int64()
		switch p.Name {
		case propertyTight:
			f.Tight = mine.Tight && on
		case propertyCache:
			cache = on
		case propertySize:
			size = n
		case propertyIdle:
			if idle := time.Duration(min(n, int64(time.Hour/time.Millisecond))) * time.Millisecond; idle > 0 && c.o.Inactivity > 0 {
				c.inIdle = min(idle, c.o.Inactivity)
			}
		}
	}
	if cache && mine.CacheSize > 0 {
		f.CacheSize = mine.CacheSize
		if size > 0 {
			f.CacheSize = int(min(int64(f.CacheSize), size))
		}
	}
	return f
}

// login introduces the client and waits until the broker has accepted it and
// introduced itself.
func (c *Conn) login(ctx context.Context) error {
	if c.o.Broker != nil {
		if err := c.Tell(c.o.Broker); err != nil {
			return err
		}
	}
	info := &wire.ConnectionInfo{
		ConnectionID: &wire.ConnectionID{Value: wire.Text(c.id)}, ClientID: wire.Text(c.o.ClientID),
		UserName: textOrNull(c.o.User), Password: textOrNull(c.o.Password), Manageable: c.o.Broker == nil, ClientMaster: true,
		FaultTolerant: c.o.FailOver,
	}
	if _, err := c.Request(ctx, info); err != nil {
		return err
	}
	select {
	case <-c.introduced:
		return nil
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func textOrNull(s string) (out wire.String) {
	if s != "" {
		out = wire.Text(s)
	}
	return out
}
