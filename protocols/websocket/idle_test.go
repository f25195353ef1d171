package websocket

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// memory returns the bytes of live heap and stacks.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // stacks shrink in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// The bound leaves room for the client's end and the race detector's records.
func TestAnIdleWebSocketCostsLittle(t *testing.T) {
	var waiting atomic.Int32
	address := start(t, families(func(c *protocols.Conn) {
		defer c.Close()
		c.Authenticated()
		waiting.Add(1)
		_ = c.WaitReadable() // for ever
	}), "")
	const n = 300
	clients := make([]net.Conn, n)
	answer := make([]byte, 1024)
	before := memory()
	for i := range clients {
		clients[i] = rawDial(t, address)
		send(t, clients[i], upgradeRequest)
		if _, err := clients[i].Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(60 * time.Second); waiting.Load() < n; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are served", waiting.Load(), n)
		}
	}
	each := int(memory()-before) / n
	t.Logf("%d bytes a connection, the client's end included", each)
	if each > 14<<10 {
		t.Errorf("%d bytes a connection", each)
	}
}
