package protocols

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// refusalTimeout is how long a last answer to a refused client may take.
const refusalTimeout = time.Second

// readProxyHeader reads a PROXY protocol header where one may be. It reports
// whether the connection goes on.
func (c *connection) readProxyHeader() bool {
	mode := c.listener.cfg.Proxy
	trusted, relayed := c.listener.trusts(c.source), c.listener.relayed(c.source)
	if mode == ProxyOff {
		if !relayed {
			return true
		}
		mode = ProxyOptional
	}
	if mode == ProxyRequired && !trusted && !relayed {
		c.reject(ReasonProxy, errors.New("the address is none of trustedProxies"))
		return false
	}
	h, found, err := c.proxyHeader(mode)
	switch {
	case err != nil:
		c.fail(ReasonProxy, err)
		return false
	case found && h.sealed:
		c.passedOn = true
	case found && !trusted:
		c.reject(ReasonProxy, errors.New("a PROXY header from an address that is none of trustedProxies"))
		return false
	case c.listener.cfg.Proxy == ProxyRequired && !trusted:
		c.reject(ReasonProxy, errors.New("the address is none of trustedProxies"))
		return false
	case !trusted && !relayed:
		return true // it was admitted when it was accepted
	}
	if h.source.IsValid() {
		c.remote, c.source = net.TCPAddrFromAddrPort(h.source), h.source.Addr().Unmap()
	}
	if reason, ok := c.listener.admitSource(c); !ok {
		c.reject(reason, nil)
		return false
	}
	return true
}

// proxyHeader takes the header from the head of the stream. found is false if
// the client sent something else, which stays.
func (c *connection) proxyHeader(mode ProxyMode) (h proxyHeader, found bool, err error) {
	for {
		b := c.socket.head
		if len(b) > 0 {
			h, n, err := parseProxy(b)
			switch {
			case err == nil:
				h.sealed = c.listener.relayed(c.source) && sealed(b[:n], c.listener.server.opts.Relays)
				c.socket.consume(n)
				return h, true, nil
			case errors.Is(err, errNoProxy) && mode == ProxyOptional:
				return proxyHeader{}, false, nil
			case !errors.Is(err, errShort):
				return proxyHeader{}, false, err
			}
		}
		if _, err := c.socket.fill(proxyV2Limit); err != nil {
			return proxyHeader{}, false, err
		}
	}
}

// startTLS makes the connection a TLS server's. It returns nil if the
// handshake fails.
func (c *connection) startTLS() (*stream, *tls.ConnectionState) {
	c.allow(c.listener.server.opts.TLSTimeout, ReasonTLSTimeout)
	if len(c.socket.head) == 0 {
		if _, err := c.socket.fill(detectLimit); err != nil {
			c.fail(ReasonTLS, err)
			return nil, nil
		}
	}
	if matchTLS(c.socket.head) == no {
		c.refusePlain(c.socket.head)
		return nil, nil
	}
	if !c.listener.handshakes.enter(c, c.listener.server.opts.TLSTimeout) {
		return nil, nil
	}
	defer c.listener.handshakes.leave(c)
	t := tls.Server(c.socket, c.listener.certs.current.Load())
	if err := t.HandshakeContext(context.Background()); err != nil {
		c.fail(ReasonTLS, err)
		return nil, nil
	}
	state := t.ConnectionState()
	return newStream(t), &state
}

// refusePlain ends a connection that speaks without TLS where TLS is required.
func (c *connection) refusePlain(b []byte) {
	c.reject(ReasonPlain, nil)
	if matchHTTP(b) != no {
		c.answerHTTP(c.socket, "400 Bad Request", "This port takes TLS only: use https or wss.\n")
	}
}

// detect names the protocol that the client speaks. It never waits when the
// bytes so far decide. With "" the connection has been refused.
func (c *connection) detect(in *stream) string {
	c.allow(c.listener.cfg.DetectTimeout, ReasonDetectTimeout)
	for {
		if len(in.head) > 0 {
			protocol, more := detect(in.head)
			if protocol != "" {
				return protocol
			}
			if !more {
				c.reject(ReasonUnknownProtocol, fmt.Errorf("it begins with %q", in.head))
				return ""
			}
		}
		if _, err := in.fill(detectLimit); err != nil {
			c.fail(ReasonUnknownProtocol, err)
			return ""
		}
	}
}

// frontend returns who serves the protocol found; with nil the client has got
// its answer. in is where it is spoken.
func (c *connection) frontend(in *stream) Frontend {
	if c.protocol == "" {
		return nil
	}
	cfg := &c.listener.cfg
	f := c.listener.server.opts.Frontends[c.protocol]
	allowed := cfg.Protocol != Auto || cfg.Detect == nil || slices.Contains(cfg.Detect, c.protocol)
	if f != nil && allowed {
		return f
	}
	c.reject(ReasonNotServed, fmt.Errorf("it speaks %s", c.protocol))
	if c.protocol == WebSocket {
		c.answerHTTP(in, "501 Not Implemented", "This port does not serve WebSocket.\n")
	}
	return nil
}

// answerHTTP sends a short last answer.
func (c *connection) answerHTTP(w *stream, status, text string) {
	_ = w.SetWriteDeadline(time.Now().Add(refusalTimeout)) // on a closed socket the write fails too
	_, err := io.WriteString(w, "HTTP/1.1 "+status+
		"\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+text)
	if err != nil {
		c.listener.log.Debug("answering failed", "conn", c.id, "error", err)
		return
	}
	(&Conn{Conn: w}).Goodbye()
}

// fail ends a connection for an error that its reading gave. A client that
// only went away, like a health check, is worth no warning; and what the
// deadline did is told at the end.
func (c *connection) fail(r Reason, err error) {
	switch {
	case c.expired.Load():
	case errors.Is(err, io.EOF) && len(c.socket.head) == 0, errors.Is(err, net.ErrClosed):
		c.listener.log.Debug("connection ended before its handshake", "conn", c.id, "remote", c.remote, "reason", r.String())
	default:
		c.reject(r, err)
	}
}
