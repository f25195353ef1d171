package main

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// scheme is how the addresses of a protocol are written.
type scheme struct {
	protocol         string
	plain, secure    []string // the first one is what help shows
	port, securePort string   // where an address has none
}

// parse reads an address. None is this machine.
func (x *scheme) parse(s string) (endpoint, error) {
	form := "write " + x.plain[0] + "://host:port, " + x.secure[0] + "://host:port or host:port"
	if s == "" {
		s = "127.0.0.1"
	}
	if !strings.Contains(s, "://") {
		s = x.plain[0] + "://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return endpoint{}, usagef("--server %q is not an address: %s", s, form)
	}
	e, port := endpoint{host: u.Hostname()}, x.port
	switch {
	case slices.Contains(x.plain, u.Scheme):
	case slices.Contains(x.secure, u.Scheme):
		e.secure, port = true, x.securePort
	default:
		return endpoint{}, usagef("--server %q is no address of %s: %s", s, x.protocol, form)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	e.address = net.JoinHostPort(e.host, port)
	return e, nil
}
