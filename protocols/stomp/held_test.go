package stomp

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// full returns a rig whose broker asks producers to wait, and the connection
// that filled it with n messages of 64 KiB on /queue/full.
func full(t *testing.T) (r *rig, p *client, n int) {
	t.Helper()
	r = newRigWith(t, nil, broker.Options{Memory: 1 << 20})
	p = r.connect(v12)
	body := "\n" + strings.Repeat("x", 64<<10)
	for n = 0; r.broker.Stats().WaitingProducers == 0; n++ {
		if n > 100 {
			t.Fatal("the broker never asks to wait")
		}
		// The receipt of a SEND may come before its connection is made to
		// wait; when a later frame is answered that is decided.
		p.send("SEND", "destination:/queue/full", body)
		p.do("BEGIN", "transaction:barrier")
		p.do("ABORT", "transaction:barrier")
	}
	return r, p, n
}

func TestHeldSendsDoNotHoldAcknowledgements(t *testing.T) {
	r, p, n := full(t)
	other := r.connect(v12)
	p.do("SUBSCRIBE", "id:s", "destination:/topic/t", "ack:client")
	other.send("SEND", "destination:/topic/t", "\nto acknowledge")
	f := p.message("to acknowledge")
	for i := range 10 {
		p.send("SEND", "destination:/queue/full", fmt.Sprintf("n:%d", i), fmt.Sprintf("receipt:held-%d", i), "\nheld")
	}
	p.do("ACK", "id:"+f.get("ack")) // while sends are held
	p.do("SUBSCRIBE", "id:other", "destination:/topic/other")
	p.do("UNSUBSCRIBE", "id:other")
	if len(p.kept) > 0 {
		t.Fatalf("a held send was completed: %v", p.kept)
	}

	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/full")
	for range n {
		c.read()
	}
	for i := range 10 {
		p.receipt(fmt.Sprintf("held-%d", i))
		if f := c.message("held"); f.get("n") != strconv.Itoa(i) {
			t.Fatalf("got %v, want the %d. held message", f, i)
		}
	}
}

func TestConnectionIsNotReadWhenTooMuchIsHeldAndGoesOnLater(t *testing.T) {
	r, p, n := full(t)
	const more = 5 * maxHeldSends
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range more {
			p.send("SEND", "destination:/queue/full", fmt.Sprintf("n:%d", i), "\n"+strings.Repeat("y", 64<<10))
		}
		p.send("DISCONNECT", "receipt:bye")
	}()
	select {
	case <-sent:
		t.Fatal("20 MiB went into a broker that holds sends")
	case <-time.After(300 * time.Millisecond):
	}
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/full")
	for i := -n; i < more; i++ {
		if f := c.read(); i >= 0 && f.get("n") != strconv.Itoa(i) {
			t.Fatalf("got %v, want message %d", f, i)
		}
	}
	<-sent
	p.receipt("bye")
	p.closed()
}

func TestCommitAndDisconnectStayBehindHeldSends(t *testing.T) {
	r, p, n := full(t)
	p.send("SEND", "destination:/queue/full", "\nfirst")
	p.do("BEGIN", "transaction:t")
	p.do("SEND", "destination:/queue/full", "transaction:t", "\nsecond")
	p.send("COMMIT", "transaction:t", "receipt:commit")
	p.send("SEND", "destination:/queue/full", "\nthird")
	p.send("DISCONNECT", "receipt:bye")
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/full")
	for range n {
		c.read()
	}
	c.message("first")
	c.message("second")
	c.message("third")
	p.receipt("commit")
	p.receipt("bye")
	p.closed()
}

func TestClientThatGoesWhileItsSendsAreHeldHasSentThem(t *testing.T) {
	r, p, n := full(t)
	for range 5 {
		p.send("SEND", "destination:/queue/full", "\nheld")
	}
	p.do("BEGIN", "transaction:all frames before have been read")
	_ = p.conn.Close()
	eventually(t, "the held messages are there", func() bool { return r.broker.Stats().Messages == n+5 })
}

func TestClientThatSendsAndDoesNotReadIsNotReadAnyMore(t *testing.T) {
	r := newRig(t, nil)
	p := r.pipe() // without a buffer of the system's
	c := &client{t: t, conn: p, in: bufio.NewReader(p), v: v10}
	c.send("CONNECT", "accept-version:1.2")
	c.read()
	c.v = v12
	const n = 5 * maxReplyBytes / 1000
	id := strings.Repeat("r", 1000)
	var sent atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range n {
			command := []string{"BEGIN", "ABORT"}[i%2]
			if _, err := fmt.Fprintf(p, "%s\ntransaction:t\nreceipt:%s%d\n\n\x00", command, id, i); err != nil {
				return
			}
			sent.Add(1)
		}
	}()
	stuck := func() bool { // nothing more is taken for a while
		before := sent.Load()
		time.Sleep(100 * time.Millisecond)
		return before == sent.Load()
	}
	eventually(t, "the connection is not read any more", stuck)
	if got := sent.Load() * 1000; got > 3*maxReplyBytes {
		t.Errorf("replies of %d bytes wait", got)
	}
	for i := range n {
		if f := c.read(); f.get("receipt-id") != fmt.Sprintf("%s%d", id, i) {
			t.Fatalf("got %v, want receipt %d", f, i)
		}
	}
	<-ended
}
