package protocols

import (
	"net"
	"net/netip"
	"sync"
)

// DefaultMaxStrangers is how many connections of one source address may wait
// to authenticate.
const DefaultMaxStrangers = 100

// strangers counts connections that have not authenticated, by source.
type strangers struct {
	mu    sync.Mutex
	count map[netip.Addr]int
}

// add counts one more of a, unless there are limit of them.
func (s *strangers) add(a netip.Addr, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[a] >= limit {
		return false
	}
	if s.count == nil {
		s.count = make(map[netip.Addr]int)
	}
	s.count[a]++
	return true
}

// remove takes one back.
func (s *strangers) remove(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[a]--; s.count[a] <= 0 {
		delete(s.count, a)
	}
}

// source is the address by which a client is counted: an IPv6 network of 64
// bits is one customer. It is not valid for what has no IP address.
func source(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// addrOf returns the IP address of a, an invalid one if it has none (a pipe,
// a Unix socket: nobody remote).
func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// local reports whether a is this machine.
func local(a netip.Addr) bool { return !a.IsValid() || a.IsLoopback() }
