package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/protocols"
)

// parseListeners reads the listeners' URIs and lays the limits of the
// configuration under the options that they don't have.
func parseListeners(loaded *config.Loaded) ([]protocols.ListenerConfig, error) {
	var out []protocols.ListenerConfig
	known := protocolFrontends(nil, "", nil, nil)
	for name, f := range known {
		if name != protocols.WebSocket {
			known[name] = namesOnly{f}
		}
	}
	var problems []error
	for _, uri := range loaded.Listeners {
		c, err := protocols.ParseListener(uri)
		if err != nil {
			problems = append(problems, loaded.Problem("listeners", err))
			continue
		}
		if !c.Values.Has("maximumConnections") {
			c.MaxConnections = loaded.Limits.Connections
		}
		if !c.Values.Has("transport.connectAttemptTimeout") {
			c.HandshakeTimeout = loaded.Limits.HandshakeTimeout
		}
		if !c.Values.Has("stomp.nack") && (c.Protocol == protocols.STOMP || c.Protocol == protocols.WebSocket || c.Protocol == protocols.Auto) {
			c.Values["stomp.nack"] = loaded.Stomp.Nack
		}
		if _, err := c.Check(known); err != nil {
			problems = append(problems, loaded.Problem("listeners", err))
		}
		out = append(out, c)
	}
	return out, config.Invalid(problems...)
}

// namesOnly is a frontend without a broker. It serves nobody and can't judge
// the values of its options, but knows their names.
type namesOnly struct{ protocols.Frontend }

// listenerURI writes where a listener really listens.
func listenerURI(l *protocols.Listener) string {
	c := l.Config()
	scheme := c.Protocol
	if c.Secure {
		scheme += "+ssl"
	}
	return scheme + "://" + l.Addr().String()
}

// adviseOnListen adds to the error of a port that could not be opened what to
// do about it. flag is what would choose another port.
func adviseOnListen(err error, flag string) error {
	if err == nil {
		return nil
	}
	var advice strings.Builder
	for _, e := range leaves(err) {
		port := "the port"
		if op, ok := errors.AsType[*net.OpError](e); ok && op.Addr != nil {
			if _, p, splitErr := net.SplitHostPort(op.Addr.String()); splitErr == nil {
				port = "port " + p
			}
		}
		switch {
		case errors.Is(e, syscall.EADDRINUSE):
			fmt.Fprintf(&advice, "\n%s is in use, by another broker perhaps: stop it (ss -ltnp shows it), or choose another port with %s", port, flag)
		case errors.Is(e, syscall.EACCES):
			fmt.Fprintf(&advice, "\n%s is reserved for root: choose one above 1023 with %s", port, flag)
		case errors.Is(e, syscall.EADDRNOTAVAIL):
			fmt.Fprintf(&advice, "\nthe address is none of this machine's: choose another with %s", flag)
		}
	}
	if advice.Len() == 0 {
		return err
	}
	return fmt.Errorf("%w%s", err, advice.String())
}

// leaves returns the errors that err joins, or err itself.
func leaves(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	return joined.Unwrap()
}

// banner is the line on stdout that says that the broker serves.
func banner(version, name, role string, listeners []*protocols.Listener, console string) string {
	uris := make([]string, len(listeners))
	for i, l := range listeners {
		uris[i] = listenerURI(l)
	}
	return fmt.Sprintf("entrepot %s ready: name=%s role=%s listeners=%s console=%s\n", version, name, role, strings.Join(uris, ","), console)
}
