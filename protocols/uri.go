package protocols

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocols that a listener can be for, and that detection can find.
const (
	OpenWire  = "openwire"
	AMQP      = "amqp"
	STOMP     = "stomp"
	MQTT      = "mqtt"
	WebSocket = "ws"
	Auto      = "auto" // found out by the first bytes
)

// Limits of a listener whose URI says nothing else.
const (
	DefaultMaxConnections   = 10000
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultTLSTimeout       = 5 * time.Second
	DefaultDetectTimeout    = 30 * time.Second
)

// ProxyMode says what a listener does with PROXY protocol headers.
type ProxyMode uint8

// The modes.
const (
	ProxyOff      ProxyMode = iota // they are no part of any protocol here
	ProxyOptional                  // a trusted proxy may send one, anybody else must not
	ProxyRequired                  // every connection comes from a trusted proxy and starts with one
)

// ListenerConfig is a listener's URI, understood.
type ListenerConfig struct {
	Name     string // for logs and metrics; ParseListener makes it of scheme and port
	Protocol string // OpenWire, ..., Auto
	Address  string // host:port; no host means every address
	Secure   bool   // every connection starts with TLS
	Values   Values // the whole query

	MaxConnections   int
	MaxStrangers     int // connections of one address that have not authenticated; 0 leaves it to Options
	MaxHandshakes    int // TLS handshakes at a time
	HandshakeTimeout time.Duration
	DetectTimeout    time.Duration
	Detect           []string // what Auto may find, nil for all
	NoDelay          bool
	KeepAlive        bool
	TLS              TLSFiles
	Proxy            ProxyMode
	TrustedProxies   []netip.Prefix
}

// scheme is what a word in a URI's scheme stands for.
type scheme struct {
	protocol   string
	port       int
	securePort int
}

var schemes = map[string]scheme{
	"tcp":      {OpenWire, 61616, 61617},
	"openwire": {OpenWire, 61616, 61617},
	"amqp":     {AMQP, 5672, 5671},
	"stomp":    {STOMP, 61613, 61612},
	"mqtt":     {MQTT, 1883, 8883},
	"ws":       {WebSocket, 61614, 61615},
	"wss":      {WebSocket, 61614, 61615},
	"auto":     {Auto, 61616, 61617},
}

// schemeWords are listed in errors, the usual first.
var schemeWords = []string{"stomp", "mqtt", "amqp", "openwire", "tcp", "ws", "wss", "auto", "nio", "ssl", "tls"}

// ParseListener reads a listener's URI as operators write it for ActiveMQ:
// "stomp+ssl://0.0.0.0:61612?maximumConnections=1000". It checks the options
// that belong to listeners; ListenerConfig.Check finds the unknown ones, since
// only frontends know theirs. Errors are meant for operators.
func ParseListener(uri string) (ListenerConfig, error) {
	c, err := parseListener(uri)
	if err != nil {
		return ListenerConfig{}, fmt.Errorf("listener %q: %w", uri, err)
	}
	return c, nil
}

func parseListener(uri string) (ListenerConfig, error) {
	// Copied out of an XML file, & is still spelled &amp;.
	u, err := url.Parse(strings.ReplaceAll(uri, "&amp;", "&"))
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the caller says which URI
		}
		return ListenerConfig{}, err
	}
	sch, secure, err := parseScheme(u.Scheme)
	if err != nil {
		return ListenerConfig{}, err
	}
	c := ListenerConfig{Protocol: sch.protocol, Secure: secure}
	if c.Address, err = listenAddress(u, sch, secure); err != nil {
		return c, err
	}
	_, port, _ := net.SplitHostPort(c.Address) // made by listenAddress
	c.Name = sch.protocol + ":" + port
	if c.Values, err = parseQuery(u.RawQuery); err != nil {
		return c, err
	}
	return c, c.readOptions()
}

func parseScheme(text string) (scheme, bool, error) {
	if text == "" {
		return scheme{}, false, errors.New("no scheme: write it like stomp://0.0.0.0:61613")
	}
	var found scheme
	secure := false
	for word := range strings.SplitSeq(strings.ToLower(text), "+") {
		switch word {
		case "nio": // every listener waits for many sockets at once
		case "ssl", "tls":
			secure = true
		default:
			s, ok := schemes[word]
			if !ok {
				return scheme{}, false, fmt.Errorf("unknown scheme %q%s; known: %s, joined by + as in stomp+ssl",
					word, didYouMean(word, schemeWords), strings.Join(schemeWords, ", "))
			}
			if found.protocol != "" {
				return scheme{}, false, fmt.Errorf("scheme %q names two protocols; on ws and wss the client chooses by WebSocket subprotocol", text)
			}
			found, secure = s, secure || word == "wss"
		}
	}
	if found.protocol == "" { // nio: and ssl: alone are OpenWire's
		found = schemes["tcp"]
	}
	return found, secure, nil
}

func listenAddress(u *url.URL, s scheme, secure bool) (string, error) {
	switch {
	case u.Opaque != "":
		return "", fmt.Errorf("write // before the address: %s://%s", u.Scheme, u.Opaque)
	case u.User != nil:
		return "", errors.New("a listener takes no user and password")
	case u.Path != "" && u.Path != "/":
		return "", fmt.Errorf("a listener has no path: remove %q", u.Path)
	case u.Fragment != "":
		return "", fmt.Errorf("a listener has no fragment: write # in a value as %%23 (found #%s)", u.Fragment)
	}
	port := s.port
	if secure {
		port = s.securePort
	}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return "", fmt.Errorf("port %s is not between 0 and 65535", text)
		}
		port = int(n)
	}
	return net.JoinHostPort(u.Hostname(), strconv.Itoa(port)), nil
}

func parseQuery(raw string) (Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	v := make(Values, len(query))
	for name, values := range query {
		if len(values) > 1 {
			return nil, fmt.Errorf("option %s is given %d times", name, len(values))
		}
		v[name] = values[0]
	}
	return v, nil
}

// readOptions sets the fields that Values decide.
func (c *ListenerConfig) readOptions() error {
	r := optionReader{v: c.Values}
	c.MaxConnections = r.int("maximumConnections", DefaultMaxConnections, 1)
	c.MaxStrangers = r.int("maximumUnauthenticated", 0, 1)
	c.MaxHandshakes = r.int("maximumHandshakes", DefaultMaxHandshakes, 1)
	c.HandshakeTimeout = r.duration("transport.connectAttemptTimeout", DefaultHandshakeTimeout)
	c.DetectTimeout = r.duration("protocolDetectionTimeOut", DefaultDetectTimeout)
	c.NoDelay = r.bool("transport.tcpNoDelay", true)
	c.KeepAlive = r.bool("transport.keepAlive", true)
	c.Detect = r.protocols("auto.protocols")
	c.TLS = r.tls()
	c.Proxy, c.TrustedProxies = r.proxy()
	switch {
	case c.Secure && !c.TLS.given():
		r.fail("%s: TLS needs transport.certificate=FILE and transport.key=FILE", c.Name)
	case c.TLS.given() && !c.Secure && c.Protocol != Auto:
		r.fail("a certificate is given, but the scheme is not encrypted: write %s+ssl", c.Protocol)
	}
	return r.err()
}

// optionReader reads the listener's own options and collects what is wrong.
type optionReader struct {
	v    Values
	errs []error
}

func (r *optionReader) err() error { return errors.Join(r.errs...) }

func (r *optionReader) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

func (r *optionReader) note(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *optionReader) int(name string, def, least int) int {
	n, err := r.v.Int(name, def)
	r.note(err)
	if err == nil && n < least && r.v.Has(name) {
		r.fail("option %s=%d: the least is %d", name, n, least)
	}
	return n
}

func (r *optionReader) bool(name string, def bool) bool {
	b, err := r.v.Bool(name, def)
	r.note(err)
	return b
}

// duration returns def for 0, which ActiveMQ takes as "no limit": strangers
// always have one.
func (r *optionReader) duration(name string, def time.Duration) time.Duration {
	d, err := r.v.Duration(name, def)
	r.note(err)
	if d == 0 {
		return def
	}
	return d
}

// protocols reads the names that ActiveMQ gives them, "default" being
// OpenWire.
func (r *optionReader) protocols(name string) []string {
	known := []string{OpenWire, AMQP, STOMP, MQTT, WebSocket, "default"}
	var out []string
	for _, p := range r.v.List(name) {
		if !slices.Contains(known, p) {
			r.fail("option %s: unknown protocol %q%s; known: %s", name, p, didYouMean(p, known), strings.Join(known, ", "))
		}
		if p == "default" {
			p = OpenWire
		}
		out = append(out, p)
	}
	return out
}

func (r *optionReader) proxy() (ProxyMode, []netip.Prefix) {
	var trusted []netip.Prefix
	for _, text := range r.v.List("trustedProxies") {
		p, err := parsePrefix(text)
		if err != nil {
			r.fail("option trustedProxies: %q is no address and no range such as 10.0.0.0/8", text)
		}
		trusted = append(trusted, p)
	}
	mode := ProxyOff
	switch text := r.v.String("proxyProtocol", ""); text {
	case "", "off", "false":
		if len(trusted) > 0 {
			r.fail("option trustedProxies needs proxyProtocol=optional or proxyProtocol=required")
		}
		return ProxyOff, nil
	case "optional":
		mode = ProxyOptional
	case "required":
		mode = ProxyRequired
	default:
		r.fail("option proxyProtocol=%q: want off, optional or required", text)
	}
	if len(trusted) == 0 {
		r.fail("option proxyProtocol needs trustedProxies=ADDRESS/BITS,... : whoever may send the header may claim any address")
	}
	return mode, trusted
}

func parsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}
