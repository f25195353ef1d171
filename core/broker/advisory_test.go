package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

// told waits for n advisories and returns each as topic, command and what is
// named.
func (c *client) told(n int, fields ...string) (out []string) {
	c.t.Helper()
	for _, d := range c.deliveries(n) {
		v, err := d.Message.View(message.Converters{message.EncodingHub: message.Hub{}})
		if err != nil {
			c.t.Fatal(err)
		}
		if d.Message.Type != "Advisory" {
			c.t.Fatalf("type %q", d.Message.Type)
		}
		text := strings.TrimPrefix(d.Message.Destination.Name, AdvisoryPrefix)
		if entries, ok := v.Body.Value.Map(); ok {
			text += " " + entries[0].Key.String()
			inner, _ := entries[0].Value.Map()
			for _, e := range inner {
				if slices.Contains(fields, e.Key.String()) {
					text += " " + e.Key.String() + "=" + e.Value.String()
				}
			}
		}
		for _, f := range fields {
			if p, ok := v.Property(f); ok {
				text += " " + f + "=" + p.String()
			}
		}
		out = append(out, text)
	}
	return out
}

func (c *client) watch(topics ...string) {
	c.t.Helper()
	for _, name := range topics {
		c.subscribe(Subscription{Destination: message.Topic(AdvisoryPrefix + name), Window: 1000})
	}
}

func wantTold(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAdvisoriesOfConsumersAndConnections(t *testing.T) {
	r := newRig(t)
	w := connect(t, r.Broker, "watcher")
	w.watch("Consumer.Queue.a", "Consumer.Topic.>", "Connection")
	wantTold(t, w.told(1, "clientId"), "Connection ConnectionInfo clientId=watcher")
	c := connect(t, r.Broker, "me")
	wantTold(t, w.told(2, "clientId")[1:], "Connection ConnectionInfo clientId=me")
	k := c.subscribe(Subscription{Destination: message.Queue("a,topic://b.*"), Selector: "x = 1", Window: 7})
	got := w.told(4, "consumerCount", "selector", "prefetchSize")[2:]
	wantTold(t, got,
		"Consumer.Queue.a ConsumerInfo selector=x = 1 prefetchSize=7 consumerCount=1",
		"Consumer.Topic.b.* ConsumerInfo selector=x = 1 prefetchSize=7 consumerCount=1")
	id := w.told(4, "consumerId")[2]
	k.Close()
	wantTold(t, w.told(6, "consumerCount")[4:], "Consumer.Queue.a RemoveInfo consumerCount=0", "Consumer.Topic.b.* RemoveInfo consumerCount=0")
	if ended := w.told(6, "consumerId")[4]; !strings.HasSuffix(ended, id[strings.LastIndex(id, "consumerId="):]) {
		t.Fatalf("%q came, %q went", id, ended)
	}
	c.Close()
	wantTold(t, w.told(7)[6:], "Connection RemoveInfo")
}

func TestWhoSubscribesToAdvisoriesLearnsFirstWhatIsThere(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "me")
	c.subscribe(Subscription{Destination: a})
	temp, err := c.CreateTemp(message.KindTempQueue)
	must(t, err)
	_, err = r.CreateTopic("news")
	must(t, err)
	p := c.OpenProducer(a)
	w := connect(t, r.Broker, "")
	for _, tt := range []struct{ topic, want string }{
		{"Consumer.Queue.a", "Consumer.Queue.a ConsumerInfo destination=queue://a"},
		{"TempQueue", "TempQueue DestinationInfo destination=" + temp.String()},
		{"Queue", "Queue DestinationInfo destination=queue://a"},
		{"Topic", "Topic DestinationInfo destination=topic://news"},
		{"Producer.Queue.a", "Producer.Queue.a ProducerInfo destination=queue://a"},
		{"MasterBroker", "MasterBroker"},
	} {
		w.got = nil
		w.watch(tt.topic)
		wantTold(t, w.told(1, "destination"), tt.want)
	}
	w.got = nil
	p.Close()
	p.Close()
	must(t, c.DeleteTemp(temp))
	must(t, r.DeleteTopic("news", false))
	must(t, r.DeleteQueue("a", true))
	got := w.told(4, "operationType", "producerCount")
	slices.Sort(got)
	wantTold(t, got, "Producer.Queue.a RemoveInfo producerCount=0", "Queue DestinationInfo operationType=1",
		"TempQueue DestinationInfo operationType=1", "Topic DestinationInfo operationType=1")
}

func advisingAll(p *policy.Policy) {
	p.Advise = policy.Advise{
		SlowConsumers: true, FastProducers: true, Discarded: true, Delivered: true, Consumed: true, Full: true, NoConsumers: true, Body: true,
	}
}

func TestAdvisoriesOfMessages(t *testing.T) {
	r := newRig(t, policyFor(message.Queue(">"), advisingAll), policyFor(message.Queue("full"), func(p *policy.Policy) {
		advisingAll(p)
		p.Limit = policy.Limit{Messages: 1, Overflow: policy.Block}
	}), policyFor(message.Queue("drop"), func(p *policy.Policy) {
		advisingAll(p)
		p.Limit = policy.Limit{Messages: 1, Overflow: policy.DropOldest}
	}))
	c, w := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	w.watch("MessageDelivered.Queue.a", "NoConsumer.>", "MessageConsumed.>", "MessageDLQd.>", "Expired.>", "FULL.>", "FastProducer.>", "MessageDiscarded.>")
	c.send(a, "1")
	wantTold(t, w.told(2, "orignalDestination"), "MessageDelivered.Queue.a Message orignalDestination=queue://a", "NoConsumer.Queue.a Message orignalDestination=queue://a")
	c.subscribe(Subscription{Destination: a})
	c.accept(c.deliveries(1)[0])
	wantTold(t, w.told(3)[2:], "MessageConsumed.Queue.a Message")
	c.send(a, "2")
	done := make(waiter, 1)
	must(t, c.deliveries(2)[1].Consumer.Settle(2, Rejected, done, 0))
	must(t, <-done)
	got := w.told(6)[3:]
	slices.Sort(got)
	wantTold(t, got, "MessageDLQd.Queue.a Message", "MessageDelivered.Queue.a Message", "NoConsumer.Queue.ActiveMQ.DLQ Message")
	w.got = nil
	c.Publish(c.message(message.Queue("old"), "x", func(e *message.Envelope) { e.Expiry = 1; e.Durable = false }), nil, 0)
	r.SweepExpired()
	wantTold(t, w.told(2), "NoConsumer.Queue.old Message", "Expired.Queue.old Message")
	w.got = nil
	if !c.Publish(c.message(message.Queue("full"), "x"), nil, 0) {
		t.Fatal("the producer need not wait")
	}
	got = w.told(3, "usageName", "usageCount")
	slices.Sort(got)
	wantTold(t, got, "FULL.Queue.full DestinationInfo usageName=queue://full usageCount=1", "FastProducer.Queue.full DestinationInfo", "NoConsumer.Queue.full Message")
	w.got = nil
	c.send(message.Queue("drop"), "1")
	c.send(message.Queue("drop"), "2")
	got = w.told(3, "discardedCount")
	slices.Sort(got)
	wantTold(t, got, "MessageDiscarded.Queue.drop DestinationInfo discardedCount=1", "NoConsumer.Queue.drop Message", "NoConsumer.Queue.drop Message")
}

func TestAdvisoriesOfSlowConsumers(t *testing.T) {
	r := newRig(t, policyFor(everyTopic, func(p *policy.Policy) { advisingAll(p); p.Pending.Limit = 2 }))
	c, g, w, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	w.watch("SlowConsumer.>", "MessageDiscarded.>")
	c.subscribe(Subscription{Destination: news, Window: 1})
	p.flood(4)
	wantTold(t, w.told(2, "discardedCount"), "SlowConsumer.Topic.news DestinationInfo", "MessageDiscarded.Topic.news Message discardedCount=1")
	c.Close()
	g.join("g", func(s *Subscription) { s.Window = 1 })
	p.flood(4)
	wantTold(t, w.told(3, "discardedCount")[2:], "MessageDiscarded.Topic.news DestinationInfo discardedCount=1")
}

func TestAdvisoriesCostNothingWhileNobodyListens(t *testing.T) {
	r := newRig(t, policyFor(message.Queue(">"), advisingAll))
	c := connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: message.Topic(">")}) // it is not for this
	c.send(a, "1")
	if r.advisories.wanted() || r.advisories.running || r.advisories.waiting != nil || c.received() != 0 {
		t.Fatal("events are noted although nobody listens")
	}
	off := newRig(t, func(o *Options) { o.NoAdvisories = true })
	w := connect(t, off.Broker, "")
	w.watch("Queue")
	w.send(a, "1")
	if off.advisories.wanted() {
		t.Fatal("events are noted although advisories are off")
	}
}

func TestClientsCantTellOfEvents(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	w := make(waiter, 1)
	c.Publish(c.message(message.Topic(AdvisoryPrefix+"Connection"), "lies"), w, 0)
	wantCode(t, <-w, CodeForbidden, "only the broker")
}

func TestADurableSubscriptionToAdvisoriesCollectsThem(t *testing.T) {
	r := newRig(t)
	w := connect(t, r.Broker, "w")
	sub := Subscription{Destination: message.Topic(AdvisoryPrefix + "Queue"), Durable: "d"}
	w.subscribe(sub).Close()
	w.send(a, "1")
	eventually(t, "advisory", func() bool {
		return r.Durables()[0].Name == "d" && r.queues.durable(durableKey{"w", "d"}).queue.Available() == 1
	})
	w.subscribe(sub)
	wantTold(t, w.told(1, "destination"), "Queue DestinationInfo destination=queue://a")
}

// ask sends a request for statistics and returns the answers.
func (c *client) ask(about message.Destination, n int) (out []map[string]string) {
	c.t.Helper()
	to, err := c.CreateTemp(message.KindTempQueue)
	if err != nil {
		c.t.Fatal(err)
	}
	c.got = nil
	c.subscribe(Subscription{Destination: to})
	w := make(waiter, 1)
	c.Publish(c.message(about, "", func(e *message.Envelope) { e.ReplyTo, e.CorrelationID = to, "c" }), w, 0)
	if err := <-w; err != nil {
		c.t.Fatal(err)
	}
	for _, d := range c.deliveries(n) {
		if d.Message.CorrelationID != "c" {
			c.t.Fatalf("correlation id %q", d.Message.CorrelationID)
		}
		v, err := d.Message.View(message.Converters{message.EncodingHub: message.Hub{}})
		if err != nil {
			c.t.Fatal(err)
		}
		entries, _ := v.Body.Value.Map()
		m := make(map[string]string)
		for _, e := range entries {
			m[e.Key.String()] = e.Value.String()
		}
		out = append(out, m)
	}
	return out
}

func TestStatisticsAreAnswered(t *testing.T) {
	r := newRig(t)
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.send(message.Queue("s.1"), "1", "2")
	p.send(message.Queue("s.2"), "3")
	p.subscribe(Subscription{Destination: message.Queue("s.2"), Window: 10, Selector: "x = 1"})
	b := c.ask(message.Queue(StatisticsPrefix+"Broker"), 1)[0]
	if b["brokerName"] != "test" || b["size"] != "3" || b["enqueueCount"] != "3" || b["test"] != "2" {
		t.Errorf("%v", b)
	}
	ds := c.ask(message.Queue(StatisticsPrefix+"Destination.s.*"), 2)
	slices.SortFunc(ds, func(a, b map[string]string) int { return strings.Compare(a["destinationName"], b["destinationName"]) })
	if ds[0]["destinationName"] != "queue://s.1" || ds[0]["size"] != "2" || ds[1]["consumerCount"] != "1" {
		t.Errorf("%v", ds)
	}
	subs := c.ask(message.Topic(StatisticsPrefix+"Subscription"), 4)
	if !slices.ContainsFunc(subs, func(m map[string]string) bool { return m["selector"] == "x = 1" && m["prefetchSize"] == "10" }) {
		t.Errorf("%v", subs)
	}
	for _, tt := range []struct {
		about string
		to    message.Destination
		want  Code
	}{
		{"Broker", message.Destination{}, CodeInvalid},
		{"Broker", message.Queue("a,b"), CodeInvalid},
		{"Broker", message.Destination{Kind: message.KindTempQueue, Name: "gone"}, CodeNotFound},
		{"Destination.", message.Queue("a"), CodeInvalid},
		{"Else", message.Queue("a"), CodeInvalid},
	} {
		w := make(waiter, 1)
		c.Publish(c.message(message.Queue(StatisticsPrefix+tt.about), "", func(e *message.Envelope) { e.ReplyTo = tt.to }), w, 0)
		if err := <-w; CodeOf(err) != tt.want {
			t.Errorf("%s to %s: %v", tt.about, tt.to, err)
		}
	}
	wantCode(t, c.Begin().Publish(c.message(message.Queue(StatisticsPrefix+"Broker"), "")), CodeNotSupported, "transaction")
}

func TestStatisticsTellOnlyWhatTheUserHasARightTo(t *testing.T) {
	f := newFence(t, "queue://ActiveMQ.Statistics.> write,create guest\ntemp://> all guest\nqueue://mine read,write guest\n")
	for _, name := range []string{"mine", "theirs"} {
		_, err := f.CreateQueue(name)
		must(t, err)
	}
	f.as("owner", "").subscribe(Subscription{Destination: message.Queue("theirs")})
	g := f.as("guest", "")
	if got := g.ask(message.Queue(StatisticsPrefix+"Destination.*"), 1); got[0]["destinationName"] != "queue://mine" {
		t.Errorf("%v", got)
	}
	if got := g.ask(message.Queue(StatisticsPrefix+"Subscription"), 2); strings.Contains(fmt.Sprint(got), "theirs") {
		t.Errorf("%v", got)
	}
	_, err := g.Subscribe(Subscription{Destination: message.Topic(AdvisoryPrefix + "Connection")})
	wantRefusal(t, "advisories without the right to read them", err, CodeForbidden)
}
