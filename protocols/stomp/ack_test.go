package stomp

import (
	"fmt"
	"strconv"
	"testing"
)

// ackHeaders are what a client of that version sends to acknowledge f.
func ackHeaders(v version, f serverFrame) []string {
	switch v {
	case v10:
		return []string{"message-id:" + f.get("message-id")}
	case v11:
		return []string{"message-id:" + f.get("message-id"), "subscription:" + f.get("subscription")}
	case v12:
	}
	return []string{"id:" + f.get("ack")}
}

func TestAcknowledgedMessagesAreNotDeliveredAgain(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v10, v11, v12} {
		for _, mode := range []string{"client", "client-individual"} {
			name := v.String() + "-" + mode
			dest := "destination:/queue/" + name
			c := r.connect(v)
			c.do("SUBSCRIBE", "id:s", dest, "ack:"+mode)
			var got []serverFrame
			for i := range 5 {
				c.do("SEND", dest, "persistent:true", fmt.Sprintf("\n%d", i))
				got = append(got, c.message(strconv.Itoa(i)))
			}
			c.do("ACK", ackHeaders(v, got[2])...)
			c.do("ACK", ackHeaders(v, got[4])...)
			left := []string{"0", "1", "3"}
			if mode == "client" {
				left = nil
			}
			c.do("DISCONNECT")
			c.closed()

			c = r.connect(v)
			c.do("SUBSCRIBE", "id:s", dest, "ack:"+mode)
			for _, body := range left {
				if f := c.message(body); f.get("redelivered") != "true" {
					t.Errorf("%s: %v", name, f)
				}
			}
			c.quiet()
		}
	}
}

func TestAutomaticMessagesAreAcknowledgedWhenWritten(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "activemq.prefetchSize:3")
	for i := range 100 {
		c.do("SEND", "destination:/queue/a", "persistent:true", fmt.Sprintf("\n%d", i))
	}
	for i := range 100 {
		if f := c.message(strconv.Itoa(i)); f.has("ack") {
			t.Fatal(f)
		}
	}
	eventually(t, "the queue is empty", func() bool { return r.broker.Stats().Messages == 0 })
}

func TestConnectionThatBreaksGivesItsMessagesBack(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v12), r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client")
	p.do("SEND", "destination:/queue/a", "persistent:true", "\n1")
	c.message("1")
	_ = c.conn.Close()
	p.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	if f := p.message("1"); f.get("redelivered") != "true" || f.get("JMSXDeliveryCount") != "2" {
		t.Error(f)
	}
}

func TestAckIsRefused(t *testing.T) {
	r := newRig(t, nil)
	type row struct {
		v       version
		command string
		headers []string
		want    string
	}
	rows := []row{
		{v12, "ACK", nil, "ACK needs the header id"},
		{v12, "NACK", []string{"message-id:1"}, "NACK needs the header id"},
		{v12, "ACK", []string{"id:1"}, `no delivery with the id "1" waits for this ACK`},
		{v12, "ACK", []string{"id:1-0"}, `no delivery with the id "1-0" waits for this ACK`},
		{v12, "ACK", []string{"id:1-x"}, `no delivery with the id "1-x" waits for this ACK`},
		{v12, "ACK", []string{"id:9-1"}, `no delivery with the id "9-1" waits for this ACK`},
		{v12, "ACK", []string{"id:1-7"}, `no delivery of subscription "s" waits for this ACK or NACK`},
		{v12, "ACK", []string{"id:1-1", "transaction:t"}, `there is no transaction "t"`},
		{v12, "ACK", []string{"id:2-1"}, "messages of an automatic subscription can't be acknowledged"},
		{v11, "ACK", []string{"subscription:s"}, "ACK needs the header message-id"},
		{v11, "ACK", []string{"message-id:1"}, "ACK needs the header subscription"},
		{v11, "ACK", []string{"message-id:1", "subscription:x"}, `there is no subscription "x"`},
		{v11, "NACK", []string{"message-id:ID:entrepot-1-1", "subscription:s"}, `no delivery of message "ID:entrepot-1-1" waits for this NACK`},
		{v11, "ACK", []string{"message-id:1", "subscription:auto"}, "messages of an automatic subscription can't be acknowledged"},
		{v10, "NACK", []string{"message-id:1"}, "STOMP 1.0 has no NACK"},
		{v10, "ACK", []string{"message-id:1"}, `no delivery of message "1" waits for this ACK`},
	}
	for _, v := range []version{v10, v11, v12} {
		c := r.connect(v)
		c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client")
		c.do("SUBSCRIBE", "id:auto", "destination:/queue/b")
		for _, tt := range rows {
			if tt.v == v {
				c.send(tt.command, append([]string{"receipt:4"}, tt.headers...)...)
				if f := c.error(tt.want); f.get("receipt-id") != "4" {
					t.Error(f)
				}
			}
		}
		c.quiet()
	}
}

func TestSecondAckOfAMessageIsAnError(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v10, v11, v12} {
		c := r.connect(v)
		dest := "destination:/queue/" + v.String()
		c.do("SUBSCRIBE", "id:s", dest, "ack:client-individual")
		c.do("SEND", dest, "\nx")
		f := c.message("x")
		c.do("ACK", ackHeaders(v, f)...)
		c.send("ACK", ackHeaders(v, f)...)
		if e := c.read(); e.command != "ERROR" {
			t.Errorf("%v: %v", v, e)
		}
		c.quiet()
	}
}

func TestNackFollowsThePolicyOfTheListenerOrTheFrame(t *testing.T) {
	for _, tt := range []struct {
		policy, header string
		again          bool
		want           string // headers of the second delivery
	}{
		{"", "", false, ""},
		{"dead-letter", "", false, ""},
		{"dead-letter", "requeue:true", true, "false/"},
		{"requeue", "", true, "false/"},
		{"requeue", "requeue:false", false, ""},
		{"redeliver", "", true, "true/2"},
	} {
		r := newRig(t, map[string]string{optNack: tt.policy})
		c := r.connect(v12)
		c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client")
		c.do("SEND", "destination:/queue/a", "persistent:true", "\n1")
		c.do("SEND", "destination:/queue/a", "persistent:true", "\n2")
		c.message("1")
		nack := []string{"id:" + c.message("2").get("ack")} // of client mode, and yet not cumulative
		if tt.header != "" {
			nack = append(nack, tt.header)
		}
		c.do("NACK", nack...)
		if tt.again {
			f := c.message("2")
			if got := fmt.Sprintf("%v/%s", f.has("redelivered"), f.get("JMSXDeliveryCount")); got != tt.want {
				t.Errorf("%+v: got %s", tt, got)
			}
			c.quiet()
			continue
		}
		c.do("SUBSCRIBE", "id:dlq", "destination:/queue/ActiveMQ.DLQ")
		f := c.message("2")
		if f.get("original-destination") != "/queue/a" || f.get("destination") != "/queue/ActiveMQ.DLQ" || f.get("dlqDeliveryFailureCause") == "" {
			t.Errorf("%+v: %v", tt, f)
		}
		c.quiet()
	}
}

func TestNackOfVersion11(t *testing.T) {
	r := newRig(t, map[string]string{optNack: "redeliver"})
	c := r.connect(v11)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual")
	c.do("SEND", "destination:/queue/a", "persistent:true", "\n1")
	c.do("NACK", ackHeaders(v11, c.message("1"))...)
	f := c.message("1")
	if f.get("redelivered") != "true" {
		t.Error(f)
	}
	c.do("ACK", ackHeaders(v11, f)...)
	eventually(t, "the queue is empty", func() bool { return r.broker.Stats().Messages == 0 })
}

func TestTopicSubscriptionWithClientAcknowledgement(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v11, v12} {
		c := r.connect(v)
		c.do("SUBSCRIBE", "id:s", "destination:/topic/t", "ack:client", "activemq.prefetchSize:2")
		for i := range 10 {
			c.do("SEND", "destination:/topic/t", fmt.Sprintf("\n%d", i))
		}
		for i := range 10 {
			f := c.message(strconv.Itoa(i))
			if i%2 == 1 {
				c.do("ACK", ackHeaders(v, f)...)
			}
		}
		c.quiet()
	}
}

func TestOutOfOrderAcknowledgementsByMessageID(t *testing.T) {
	var u unsettled
	r := newRig(t, nil)
	c := r.connect(v11)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual", "activemq.prefetchSize:8")
	const n = 64
	for i := range n {
		c.send("SEND", "destination:/queue/a", fmt.Sprintf("\n%d", i))
	}
	for i := 0; i < n; i += 8 {
		var got []serverFrame
		for k := range 8 {
			got = append(got, c.message(strconv.Itoa(i+k)))
		}
		for _, k := range []int{5, 0, 7, 1, 6, 2, 4, 3} {
			c.do("ACK", ackHeaders(v11, got[k])...)
		}
	}
	c.quiet()
	for tag := uint64(1); tag <= 1000; tag++ { // memory stays bounded by the window
		u.list = append(u.list, trackedDelivery{})[:0]
		u.add(tag, mustMessage(tag))
		u.remove(tag, tag%2 == 0)
	}
	if len(u.list) != 0 || u.head != 0 || cap(u.list) > 16 {
		t.Errorf("%d of %d, head %d", len(u.list), cap(u.list), u.head)
	}
}
