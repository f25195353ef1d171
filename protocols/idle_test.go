package protocols

import (
	"net"
	"runtime"
	"testing"
)

// memory returns the bytes of live heap and stacks.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // stacks shrink in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// The frontends' part, the client's end of the connection in this process and
// the race detector's shadow fit between what it is and what is asserted.
func TestAnIdleConnectionCostsLittle(t *testing.T) {
	f := &fakeFrontend{name: STOMP, serve: func(c *Conn) {
		defer c.Close()
		c.Authenticated()
		_ = c.WaitReadable() // for ever
	}}
	s := start(t, Options{Frontends: frontends(f)}, anyPort)
	const n = 500
	clients := make([]net.Conn, n)
	before := memory()
	for i := range clients {
		clients[i] = dial(t, s)
	}
	eventually(t, "all have authenticated", func() bool {
		st := s.Snapshot()[0]
		return st.Connections == n && st.Unauthenticated == 0
	})
	each := int(memory()-before) / n
	t.Logf("%d bytes a connection, the client's end included", each)
	if each > 8<<10 {
		t.Errorf("%d bytes a connection", each)
	}
}
