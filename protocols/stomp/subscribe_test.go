package stomp

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestReceiptOfSubscribeComesBeforeTheFirstMessage(t *testing.T) {
	r := newRig(t, nil)
	p := r.connect(v12)
	for i := range 20 {
		dest := fmt.Sprintf("destination:/queue/a%d", i)
		p.do("SEND", dest, "\nwaiting")
		c := r.connect(v12)
		c.send("SUBSCRIBE", "id:s", dest, "receipt:1")
		if f := c.read(); f.command != "RECEIPT" {
			t.Fatalf("got %v, want RECEIPT first", f)
		}
		c.message("waiting")
	}
}

func TestSubscribeIsRefused(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:taken", "destination:/queue/a")
	for _, tt := range []struct{ headers, want string }{
		{"destination:/queue/a", "SUBSCRIBE needs the header id"},
		{"id:\ndestination:/queue/a", "SUBSCRIBE needs the header id"},
		{"id:1", "SUBSCRIBE needs the header destination"},
		{"id:taken\ndestination:/queue/a", `subscription "taken" exists already`},
		{"id:1\ndestination:/queue/", `destination "/queue/": destination name is empty`},
		{"id:1\ndestination:/queue/a\nactivemq.prefetchSize:0", `activemq.prefetchSize is "0"`},
		{"id:1\ndestination:/queue/a\nactivemq.prefetchSize:-1", `activemq.prefetchSize is "-1"`},
		{"id:1\ndestination:/queue/a\nactivemq.prefetchSize:many", `activemq.prefetchSize is "many"`},
		{"id:1\ndestination:/queue/a\nprefetch-count:-1", `prefetch-count is "-1"`},
		{"id:1\ndestination:/queue/a\nactivemq.priority:x", `activemq.priority is "x"`},
		{"id:1\ndestination:/queue/a?consumer.priority=x", `activemq.priority is "x"`},
		{"id:1\ndestination:/queue/a\nactivemq.subscriptionName:d", "activemq.subscriptionName is for topics only"},
		{"id:1\ndestination:/topic/a\nactivemq.subscriptionName:d", "a durable subscription needs a client-id"},
		{"id:1\ndestination:/topic/a\nbrowser:true", "subscribe to topic://a: only a queue can be browsed"},
		{"id:1\ndestination:/remote-temp-queue/x", "subscribe to temp-queue://x: the temporary destination does not exist"},
	} {
		c.send("SUBSCRIBE", append(strings.Split(tt.headers, "\n"), "receipt:3")...)
		if f := c.error(tt.want); f.get("receipt-id") != "3" {
			t.Error(f)
		}
	}
	c.quiet()
}

func TestSubscriptionsOfOneConnectionGetTheirOwnMessages(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v12), r.connect(v12)
	for i := range 30 {
		c.do("SUBSCRIBE", fmt.Sprintf("id:s%d", i), fmt.Sprintf("destination:/queue/a%d", i), "ack:client-individual")
	}
	for i := 29; i >= 0; i-- {
		p.do("SEND", fmt.Sprintf("destination:/queue/a%d", i), "\nx")
		f := c.message("x")
		if f.get("subscription") != fmt.Sprintf("s%d", i) {
			t.Fatal(f)
		}
		c.do("ACK", "id:"+f.get("ack"))
	}
	for i := range 30 {
		c.do("UNSUBSCRIBE", fmt.Sprintf("id:s%d", i))
	}
	c.quiet()
}

func TestUnsubscribe(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v12), r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	c.do("UNSUBSCRIBE", "id:s")
	p.do("SEND", "destination:/queue/a", "\n1")
	c.quiet()
	for _, headers := range [][]string{{"id:s"}, {"id:other"}, {"destination:/queue/a"}, nil} {
		c.send("UNSUBSCRIBE", headers...)
		c.error("there is no such subscription")
	}
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a") // the id is free again
	c.message("1")
}

func TestOldClientsSubscribeWithoutID(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v10), r.connect(v12)
	c.do("SUBSCRIBE", "destination:/queue/a")
	c.do("SUBSCRIBE", "destination:/queue/b")
	p.do("SEND", "destination:/queue/b", "\n1")
	if f := c.message("1"); f.has("subscription") || f.get("destination") != "/queue/b" {
		t.Error(f)
	}
	c.do("UNSUBSCRIBE", "destination:/queue/b")
	p.do("SEND", "destination:/queue/b", "\n2")
	p.do("SEND", "destination:/queue/a", "\n3")
	c.message("3")
	c.quiet()
}

func TestMessageAfterUnsubscribeGoesToAnother(t *testing.T) {
	r := newRig(t, nil)
	p, c, other := r.connect(v12), r.connect(v12), r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual")
	p.do("SEND", "destination:/queue/a", "\n1")
	c.message("1")
	c.do("UNSUBSCRIBE", "id:s")
	other.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	if f := other.message("1"); f.get("redelivered") != "true" || f.get("JMSXDeliveryCount") != "2" {
		t.Error(f)
	}
}

func TestAutomaticMessagesAreNotDeliveredAgainAfterUnsubscribe(t *testing.T) {
	r := newRig(t, nil)
	p, c, other := r.connect(v12), r.connect(v12), r.connect(v12)
	for range 50 {
		c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
		p.send("SEND", "destination:/queue/a", "\n1")
		c.message("1")
		c.do("UNSUBSCRIBE", "id:s")
	}
	other.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	other.quiet()
}

func TestDurableSubscription(t *testing.T) {
	r := newRig(t, nil)
	p := r.connect(v12)
	headers := []string{"id:s", "destination:/topic/news.>", "activemq.subscriptionName:d", "ack:client-individual"}
	c := r.connect(v12, "client-id:me")
	c.do("SUBSCRIBE", headers...)
	p.do("SEND", "destination:/topic/news.a", "persistent:true", "\n1")
	c.do("ACK", "id:"+c.message("1").get("ack"))
	p.do("SEND", "destination:/topic/news.a", "persistent:true", "\n2")
	c.message("2")
	c.do("DISCONNECT")
	c.closed()

	p.do("SEND", "destination:/topic/news.b", "persistent:true", "\n3")
	c = r.connect(v12, "client-id:me")
	c.do("SUBSCRIBE", headers...)
	if f := c.message("2"); f.get("redelivered") != "true" {
		t.Error(f)
	}
	if f := c.message("3"); f.get("destination") != "/topic/news.b" || f.has("redelivered") {
		t.Error(f)
	}
	c.do("UNSUBSCRIBE", "id:s", "activemq.subscriptionName:d") // ends and removes it
	p.do("SEND", "destination:/topic/news.b", "persistent:true", "\n4")
	c.do("SUBSCRIBE", headers...)
	c.quiet()
	c.do("UNSUBSCRIBE", "id:s")
	p.do("SEND", "destination:/topic/news.b", "persistent:true", "\n5")
	c.do("SUBSCRIBE", headers...)
	c.message("5")
	c.do("UNSUBSCRIBE", "id:s")
	c.do("UNSUBSCRIBE", "activemq.subscriptionName:d") // not active: by its name
	c.send("UNSUBSCRIBE", "activemq.subscriptionName:d")
	c.error(`remove durable subscription d: client id "me" has none of that name`)
}

func TestDurableSubscriptionHasOneConsumer(t *testing.T) {
	c := newRig(t, nil).connect(v12, "client-id:me")
	headers := []string{"destination:/topic/a", "activemq.subscriptionName:d"}
	c.do("SUBSCRIBE", append(headers, "id:1")...)
	c.send("SUBSCRIBE", append(headers, "id:2", "receipt:5")...)
	if f := c.error("subscribe to topic://a as d: the durable subscription has an active consumer; end that one first"); f.get("receipt-id") != "5" {
		t.Error(f)
	}
	c.quiet()
}

func TestBrowserSeesWhatWaitsAndChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	for _, ack := range []string{"auto", "client", "client-individual"} {
		dest := "destination:/queue/" + ack
		c := r.connect(v12)
		for i := range 3 {
			c.do("SEND", dest, fmt.Sprintf("\n%d", i))
		}
		for range 2 {
			c.do("SUBSCRIBE", "id:b", dest, "browser:true", "ack:"+ack)
			var got []serverFrame
			for i := range 3 {
				got = append(got, c.message(strconv.Itoa(i)))
			}
			if f := c.message(""); strings.Join(f.headers, "|") != "subscription:b|"+dest+"|message-id:0|browser:end" {
				t.Error(f)
			}
			if ack != "auto" {
				c.do("ACK", "id:"+got[1].get("ack"))
				c.send("NACK", "id:"+got[2].get("ack"))
				c.error("a browser can't NACK")
			}
			c.do("UNSUBSCRIBE", "id:b")
		}
		c.do("SUBSCRIBE", "id:s", dest)
		for i := range 3 {
			if f := c.message(strconv.Itoa(i)); f.has("redelivered") {
				t.Error(f)
			}
		}
	}
}

func TestBrowserOfMoreMessagesThanItsWindow(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	for i := range 40 {
		c.send("SEND", "destination:/queue/a", fmt.Sprintf("\n%d", i))
	}
	c.do("SUBSCRIBE", "id:b", "destination:/queue/a", "browser:true", "activemq.prefetchSize:7")
	for i := range 40 {
		c.message(strconv.Itoa(i))
	}
	if f := c.read(); f.get("browser") != "end" {
		t.Error(f)
	}
}

func TestPrefetchBoundsWhatIsUnacknowledged(t *testing.T) {
	r := newRig(t, nil)
	p := r.connect(v12)
	for i, header := range []string{"activemq.prefetchSize:2", "prefetch-count:2", "destination:x?consumer.prefetchSize=2"} {
		dest := fmt.Sprintf("destination:/queue/a%d", i)
		for n := range 4 {
			p.do("SEND", dest, fmt.Sprintf("\n%d", n))
		}
		c := r.connect(v12)
		if strings.HasPrefix(header, "destination") {
			c.do("SUBSCRIBE", "id:s", dest+"?consumer.prefetchSize=2", "ack:client")
		} else {
			c.do("SUBSCRIBE", "id:s", dest, "ack:client", header)
		}
		c.message("0")
		f := c.message("1")
		c.quiet()
		c.do("ACK", "id:"+f.get("ack"))
		c.message("2")
		c.message("3")
	}
}

func TestSubscriptionToAPatternShowsWhereEachMessageWasSent(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v12), r.connect(v12)
	c.do("SUBSCRIBE", "id:t", "destination:/topic/a.*")
	c.do("SUBSCRIBE", "id:q", "destination:/queue/q.>")
	for _, d := range []string{"/topic/a.1", "/queue/q.1.2", "/topic/a.2"} {
		p.do("SEND", "destination:"+d, "\nx")
		if f := c.message("x"); f.get("destination") != d {
			t.Error(f)
		}
	}
	p.do("SEND", "destination:/topic/b.1", "\nx")
	c.quiet()
}

func TestNoLocalLeavesOutOnesOwnMessages(t *testing.T) {
	r := newRig(t, nil)
	c, p := r.connect(v12, "client-id:c"), r.connect(v12, "client-id:p")
	c.do("SUBSCRIBE", "id:s", "destination:/topic/a", "activemq.noLocal:true")
	c.do("SEND", "destination:/topic/a", "\nmine")
	p.do("SEND", "destination:/topic/a", "\nhis")
	c.message("his")
	c.quiet()
}

func TestExclusiveConsumerAndPriority(t *testing.T) {
	r := newRig(t, nil)
	low, high, p := r.connect(v12), r.connect(v12), r.connect(v12)
	low.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	high.do("SUBSCRIBE", "id:s", "destination:/queue/a", "activemq.priority:10")
	low.do("SUBSCRIBE", "id:x", "destination:/queue/x")
	high.do("SUBSCRIBE", "id:x", "destination:/queue/x", "activemq.exclusive:true")
	for range 5 {
		p.do("SEND", "destination:/queue/a", "\na")
		high.message("a")
		p.do("SEND", "destination:/queue/x", "\nx")
		high.message("x")
	}
	low.quiet()
}

func TestClientThatDoesNotReadIsClosedAfterTheWriteTimeout(t *testing.T) {
	r := newRig(t, map[string]string{optWriteTimeout: "1500"})
	slow, p := r.connect(v12), r.connect(v12)
	slow.do("SUBSCRIBE", "id:s", "destination:/queue/a", "activemq.prefetchSize:32767")
	body := "\n" + strings.Repeat("x", 1<<20)
	for range 30 {
		p.do("SEND", "destination:/queue/a", body)
	}
	eventually(t, "the slow client's connection ends", func() bool { return r.front.Snapshot().Connections == 1 })
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	n := 0
	for ; ; n++ { // what was not read is delivered again
		if _, err := c.next(500 * time.Millisecond); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n < 10 || n > 30 {
		t.Errorf("%d of 30 messages were delivered again", n)
	}
}

func TestLimitOfSubscriptions(t *testing.T) {
	r := newRig(t, map[string]string{optSubscriptions: "2"})
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:1", "destination:/queue/a")
	c.do("SUBSCRIBE", "id:2", "destination:/queue/a")
	c.send("SUBSCRIBE", "id:3", "destination:/queue/a")
	c.error("connection has 2 subscriptions")
	c.do("UNSUBSCRIBE", "id:1")
	c.do("SUBSCRIBE", "id:3", "destination:/queue/a")
}
