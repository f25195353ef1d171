package stomp

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestReceiptOfDisconnectComesLast(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	var in strings.Builder
	for i := range 200 {
		fmt.Fprintf(&in, "SEND\ndestination:/queue/a\npersistent:true\nreceipt:%d\n\nx\x00", i)
	}
	c.raw(in.String() + "DISCONNECT\nreceipt:bye\n\n\x00SEND\ndestination:/queue/a\n\nafter\x00")
	for i := range 200 {
		if f := c.read(); f.command != "RECEIPT" || f.get("receipt-id") != strconv.Itoa(i) {
			t.Fatalf("got %v, want RECEIPT %d", f, i)
		}
	}
	if f := c.read(); f.command != "RECEIPT" || f.get("receipt-id") != "bye" {
		t.Fatalf("got %v", f)
	}
	c.closed()
	if n := r.broker.Stats().Messages; n != 200 {
		t.Errorf("%d messages, want the 200 before DISCONNECT", n)
	}
}

func TestDisconnectWithoutReceiptSendsEverythingAndCloses(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.raw(strings.Repeat("SEND\ndestination:/queue/a\n\nx\x00", 100) + "DISCONNECT\n\n\x00")
	c.closed()
	if n := r.broker.Stats().Messages; n != 100 {
		t.Errorf("%d messages, want 100", n)
	}
}

func TestClientIDIsFreeWhenTheReceiptOfDisconnectCame(t *testing.T) {
	r := newRig(t, nil)
	for range 20 {
		c := r.connect(v12, "client-id:me")
		c.do("DISCONNECT")
	}
}

func TestClosedConnectionHasSentWhatCameBefore(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.raw(strings.Repeat("SEND\ndestination:/queue/a\n\nx\x00", 1000))
	_ = c.conn.Close()
	eventually(t, "1000 messages", func() bool { return r.broker.Stats().Messages == 1000 })
}

func TestNoMessageIsWrittenAfterDisconnect(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v12), r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	c.do("DISCONNECT")
	p.do("SEND", "destination:/queue/a", "\nx")
	c.closed()
	p.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	if f := p.message("x"); f.has("redelivered") {
		t.Error(f)
	}
}

func TestBrokerThatEndsTheSessionSaysWhy(t *testing.T) {
	r := newRig(t, nil)
	idle := r.connect(v12)
	busy := r.connect(v12)
	busy.raw("SEND\ndestination:/queue/a\n\nunfinished")
	closed := make(chan error, 1)
	go func() { closed <- r.broker.Close(context.Background()) }()
	for _, c := range []*client{idle, busy} {
		c.error("the broker is shutting down")
		c.closed()
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
