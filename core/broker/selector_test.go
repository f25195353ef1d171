package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
)

// readsHub lets the broker read the properties of the tests' messages.
func readsHub(o *Options) { o.Converters = message.Converters{message.EncodingHub: message.Hub{}} }

// sendWith publishes a message with properties and waits for its confirmation.
func (c *client) sendWith(d message.Destination, durable bool, body string, properties ...message.Property) {
	c.t.Helper()
	w := make(waiter, 1)
	c.Publish(c.withProperties(d, durable, body, properties...), w, 0)
	if err := <-w; err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) withProperties(d message.Destination, durable bool, body string, properties ...message.Property) *message.Message {
	e := message.Envelope{
		ID: c.NewID(), Destination: d, Durable: durable, Priority: message.DefaultPriority, Timestamp: 1, Publisher: c.Publisher(),
	}
	return message.NewView(&e, &message.View{Properties: properties, Body: message.TextBody(body)})
}

func text(name, value string) message.Property {
	return message.Property{Name: name, Value: message.StringValue(value)}
}

func number(name string, n int64) message.Property {
	return message.Property{Name: name, Value: message.Int64Value(n)}
}

// wantTexts compares the text bodies of deliveries.
func wantTexts(t *testing.T, ds []Delivery, want ...string) {
	t.Helper()
	var got []string
	for _, d := range ds {
		v, err := d.Message.View(message.Converters{message.EncodingHub: message.Hub{}})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v.Body.Text())
	}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConsumersOfAQueueGetWhatTheirSelectorsSelect(t *testing.T) {
	r := newRig(t, readsHub)
	q := message.Queue("a")
	red, all, big := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	red.subscribe(Subscription{Destination: q, Selector: "colour = 'red'"})
	big.subscribe(Subscription{Destination: q, Selector: "size > 10 AND colour <> 'red'"})
	p := connect(t, r.Broker, "")
	for i, durable := range []bool{true, false} {
		p.sendWith(q, durable, fmt.Sprint("red", i), text("colour", "red"), number("size", 50))
		p.sendWith(q, durable, fmt.Sprint("big", i), text("colour", "blue"), number("size", 11))
		p.sendWith(q, durable, fmt.Sprint("none", i), text("colour", "blue"), number("size", 9))
	}
	wantTexts(t, red.deliveries(2), "red0", "red1")
	wantTexts(t, big.deliveries(2), "big0", "big1")
	all.subscribe(Subscription{Destination: q, Selector: " "}) // JMS: none
	wantTexts(t, all.deliveries(2), "none0", "none1")
}

func TestSelectorsOfTopicsAndBrowsers(t *testing.T) {
	r := newRig(t, readsHub)
	news, q := message.Topic("news"), message.Queue("a")
	sub, browser, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	sub.subscribe(Subscription{Destination: news, Selector: "n BETWEEN 2 AND 3"})
	for n := range int64(5) {
		p.sendWith(news, false, strconv.FormatInt(n, 10), number("n", n))
		p.sendWith(q, true, strconv.FormatInt(n, 10), number("n", n))
	}
	wantTexts(t, sub.deliveries(2), "2", "3")
	browser.subscribe(Subscription{Destination: q, Selector: "n % 2 = 0", Browse: true})
	ds := browser.deliveries(4)
	if !ds[3].BrowseEnd {
		t.Error("browsing does not end")
	}
	wantTexts(t, ds[:3], "0", "2", "4")
}

func TestDurableSubscriptionSelectsWhenAMessageIsPublished(t *testing.T) {
	r := newRig(t, readsHub)
	news := message.Topic("news")
	sub := Subscription{Destination: news, Durable: "d", Selector: "n > 1", NoLocal: true, Window: 100}
	c := connect(t, r.Broker, "me")
	k := c.subscribe(sub)
	k.Close()
	publish := func() {
		p := connect(t, r.Broker, "")
		for n := range int64(4) {
			p.sendWith(news, true, strconv.FormatInt(n, 10), number("n", n))
		}
		p.Close()
	}
	publish()
	c.sendWith(news, true, "mine", number("n", 9)) // noLocal
	r.restart()
	publish() // the selector was stored
	c = connect(t, r.Broker, "me")
	c.subscribe(sub)
	wantTexts(t, c.deliveries(4), "2", "3", "2", "3")
}

func TestAnotherSelectorReplacesADurableSubscription(t *testing.T) {
	r := newRig(t, readsHub)
	news := message.Topic("news")
	c, p := connect(t, r.Broker, "me"), connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: news, Durable: "d", Selector: "n > 1"}).Close()
	p.sendWith(news, true, "lost", number("n", 2))
	k := c.subscribe(Subscription{Destination: news, Durable: "d", Selector: "n < 1"})
	p.sendWith(news, true, "2", number("n", 2))
	p.sendWith(news, true, "0", number("n", 0))
	wantTexts(t, c.deliveries(1), "0")
	_, err := c.Subscribe(Subscription{Destination: news, Durable: "d", Selector: "n = 1", Window: 1})
	if CodeOf(err) != CodeInUse {
		t.Errorf("another selector while one is in use: %v", err)
	}
	k.Close()
}

func TestWrongSelectorsAreRefusedWithTheirPosition(t *testing.T) {
	r := newRig(t, readsHub)
	c := connect(t, r.Broker, "me")
	for _, d := range []message.Destination{message.Queue("a"), message.Topic("a"), message.Topic("a.>")} {
		_, err := c.Subscribe(Subscription{Destination: d, Selector: "n > ", Window: 1})
		e, ok := errors.AsType[*selector.Error](err)
		if CodeOf(err) != CodeInvalid || !ok || e.Offset != 4 || !strings.Contains(err.Error(), "line 1, column 5") {
			t.Errorf("%v: %v", d, err)
		}
	}
	for _, name := range []string{"JMSRedelivered", "JMSXDeliveryCount > 1"} {
		_, err := c.Subscribe(Subscription{Destination: message.Topic("a"), Durable: "d", Selector: name, Window: 1})
		if CodeOf(err) != CodeInvalid || !errors.Is(err, errOfDelivery) {
			t.Errorf("durable %s: %v", name, err)
		}
		if _, err := c.Subscribe(Subscription{Destination: message.Topic("a"), Selector: name, Window: 1}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEqualSelectorsAreEqualFilters(t *testing.T) {
	r := newRig(t, readsHub)
	a, _ := r.filter("n > 1", "")
	b, _ := r.filter("n > 1", "")
	mine, _ := r.filter("n > 1", "me")
	if a != b || a == mine {
		t.Errorf("%v, %v, %v", a, b, mine)
	}
}

func TestRedeliveredIsSelectedInAQueue(t *testing.T) {
	for _, durable := range []bool{true, false} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			r := newRig(t, readsHub)
			q := message.Queue("a")
			again, first, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
			again.subscribe(Subscription{Destination: q, Selector: "JMSRedelivered AND JMSXDeliveryCount = 2"})
			k := first.subscribe(Subscription{Destination: q, Selector: "NOT JMSRedelivered"})
			p.sendWith(q, durable, "x")
			d := first.deliveries(1)[0]
			if err := k.Settle(d.Tag, Modified, nil, 0); err != nil {
				t.Fatal(err)
			}
			wantTexts(t, again.deliveries(1), "x")
			first.deliveries(1) // no more than the first time
		})
	}
}

// fill publishes n messages that no selector of the tests selects.
func (c *client) fill(d message.Destination, durable bool, n int) {
	c.t.Helper()
	w := make(waiter, 1000)
	for i := range n {
		if i >= cap(w) {
			if err := <-w; err != nil {
				c.t.Fatal(err)
			}
		}
		c.Publish(c.withProperties(d, durable, "other", number("n", int64(i)), text("colour", "blue")), w, 0)
	}
	for range min(n, cap(w)) {
		if err := <-w; err != nil {
			c.t.Fatal(err)
		}
	}
}

func TestOnlyMatchIsFoundBehindManyOthers(t *testing.T) {
	const others = 100_000
	for _, durable := range []bool{true, false} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			r := newRig(t, readsHub)
			q := message.Queue("a")
			p, early, late := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
			p.fill(q, durable, others)
			early.subscribe(Subscription{Destination: q, Selector: "colour = 'red' AND n = 1"})
			p.sendWith(q, durable, "first", text("colour", "red"), number("n", 1))
			p.sendWith(q, durable, "second", text("colour", "red"), number("n", 2))
			wantTexts(t, early.deliveries(1), "first")
			late.subscribe(Subscription{Destination: q, Selector: "n = 2 AND colour <> 'blue'"})
			wantTexts(t, late.deliveries(1), "second")
			if !durable {
				return
			}
			r.restart() // all is in pages
			again := connect(t, r.Broker, "")
			again.subscribe(Subscription{Destination: q, Selector: "colour = 'red'"})
			wantTexts(t, again.deliveries(2), "first", "second")
		})
	}
}
