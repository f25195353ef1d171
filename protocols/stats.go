package protocols

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Reason says why a connection was refused or ended before its client had
// authenticated.
type Reason uint8

// The reasons.
const (
	ReasonRemote           Reason = iota // not from this machine, and only this machine is served
	ReasonMaxConnections                 // the listener is full
	ReasonMaxStrangers                   // too many of one address have not authenticated
	ReasonHandshakeTimeout               // it did not authenticate in time
	ReasonDetectTimeout                  // it did not say in time which protocol it speaks
	ReasonTLSTimeout                     // its TLS handshake took too long
	ReasonTLS                            // its TLS handshake failed
	ReasonMaxHandshakes                  // its address has too many TLS handshakes under way
	ReasonPlain                          // it did not encrypt where encryption is required
	ReasonProxy                          // a PROXY header is missing, broken or from somebody untrusted
	ReasonUnknownProtocol                // its first bytes begin no known protocol
	ReasonNotServed                      // they begin a protocol that this listener doesn't serve
	ReasonClosing                        // the server is shutting down
	ReasonNoMaster                       // this node isn't the master, and none was found in time
	ReasonNotMaster                      // this node isn't the master, and the one that is wasn't reached
	reasonCount
)

var reasonNames = [reasonCount]string{
	"remote_address", "max_connections", "max_unauthenticated", "handshake_timeout", "detect_timeout",
	"tls_timeout", "tls_failed", "max_tls_handshakes", "not_encrypted", "proxy_header", "unknown_protocol", "protocol_not_served", "shutting_down",
	"no_master", "not_master",
}

// String returns the reason as logs and metrics show it.
func (r Reason) String() string { return reasonNames[r] }

// advice says what an operator can do about it, "" if nothing.
func (r Reason) advice() string {
	switch r {
	case ReasonRemote:
		return "without users only clients on this machine are served: configure a users file"
	case ReasonMaxConnections:
		return "raise maximumConnections of the listener"
	case ReasonMaxStrangers:
		return "raise maximumUnauthenticated of the listener, or look at who is at that address"
	case ReasonHandshakeTimeout:
		return "the client sent no complete CONNECT in time; transport.connectAttemptTimeout is the limit"
	case ReasonDetectTimeout:
		return "the client has to speak first; protocolDetectionTimeOut is the limit"
	case ReasonPlain:
		return "the client has to use TLS on this port"
	case ReasonTLS, ReasonTLSTimeout:
		return "compare the client's trusted authorities and TLS versions with the listener's"
	case ReasonMaxHandshakes:
		return "look at who is at that address, or raise maximumHandshakes of the listener: an address can have a quarter of it"
	case ReasonProxy:
		return "compare proxyProtocol and trustedProxies of the listener with the proxy's settings"
	case ReasonUnknownProtocol, ReasonNotServed:
		return "compare the client's port and protocol with the listeners and auto.protocols"
	case ReasonNoMaster:
		return "ask \"entrepot cluster status\" why the group has no master"
	case ReasonNotMaster:
		return "the master is named by \"entrepot cluster status\"; its listeners have to be reachable from this node"
	case ReasonClosing, reasonCount:
	}
	return ""
}

// counters are a listener's.
type counters struct {
	accepted        atomic.Uint64
	unauthenticated atomic.Int64
	acceptErrors    atomic.Uint64
	relayed         atomic.Int64
	panics          atomic.Uint64
	rejected        [reasonCount]atomic.Uint64
	closedIn        atomic.Uint64 // bytes of connections that have ended
	closedOut       atomic.Uint64
}

// ListenerStats is what a listener has counted. The totals only grow.
type ListenerStats struct {
	Name            string
	Protocol        string
	Addr            string
	Accepted        uint64 // connections, refused ones included
	Connections     int    // open now
	Unauthenticated int    // of them
	Relayed         int    // of them, passed through to the master
	ByProtocol      []ProtocolCount
	Rejected        []RejectCount // every reason, in a fixed order
	AcceptErrors    uint64
	Panics          uint64 // connections that ended by one
	BytesIn         uint64
	BytesOut        uint64
}

// ProtocolCount is the number of open connections of one protocol.
type ProtocolCount struct {
	Protocol    string
	Connections int
}

// RejectCount is the number of connections refused for one reason.
type RejectCount struct {
	Reason string
	Count  uint64
}

// Snapshot returns what the listeners have counted. Any goroutine may call it.
func (s *Server) Snapshot() []ListenerStats {
	var out []ListenerStats
	for _, l := range s.Listeners() {
		out = append(out, l.snapshot())
	}
	return out
}

func (l *Listener) snapshot() ListenerStats {
	st := ListenerStats{
		Name: l.cfg.Name, Protocol: l.cfg.Protocol, Addr: l.Addr().String(),
		Accepted:        l.count.accepted.Load(),
		Unauthenticated: int(l.count.unauthenticated.Load()),
		Relayed:         int(l.count.relayed.Load()),
		AcceptErrors:    l.count.acceptErrors.Load(),
		Panics:          l.count.panics.Load(),
	}
	for r := range reasonCount {
		st.Rejected = append(st.Rejected, RejectCount{Reason: r.String(), Count: l.count.rejected[r].Load()})
	}
	for protocol, n := range l.open {
		st.ByProtocol = append(st.ByProtocol, ProtocolCount{Protocol: protocol, Connections: int(n.Load())})
	}
	slices.SortFunc(st.ByProtocol, func(a, b ProtocolCount) int { return strings.Compare(a.Protocol, b.Protocol) })
	l.mu.Lock() // a connection that ends moves its bytes under it
	defer l.mu.Unlock()
	st.Connections = len(l.conns)
	st.BytesIn, st.BytesOut = l.count.closedIn.Load(), l.count.closedOut.Load()
	for c := range l.conns {
		st.BytesIn += c.socket.in.Load()
		st.BytesOut += c.socket.out.Load()
	}
	return st
}
