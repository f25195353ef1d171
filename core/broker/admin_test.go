package broker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func wantCode(t *testing.T, err error, want Code, text string) {
	t.Helper()
	if err == nil || CodeOf(err) != want || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want %v with %q", err, want, text)
	}
}

// texts browses the whole of a queue in pages.
func (r *rig) texts(name string, limit int) (out []string) {
	r.t.Helper()
	from := ""
	for {
		got, err := r.Browse(name, Browse{From: from, Limit: limit})
		if err != nil {
			r.t.Fatal(err)
		}
		if len(got.Messages) > limit {
			r.t.Fatalf("%d messages on a page of %d", len(got.Messages), limit)
		}
		for _, m := range got.Messages {
			out = append(out, string(m.Message.Payload()))
		}
		if from = got.Next; from == "" {
			return out
		}
	}
}

func (r *rig) refs(name string) (out []MessageRef) {
	r.t.Helper()
	got, err := r.Browse(name, Browse{Limit: MaxPage})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range got.Messages {
		out = append(out, m.Ref)
	}
	return out
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func numbers(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

func TestPageOfAListIsThatOfTheSortedWhole(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rows := make([]row[int], rnd.IntN(400))
		for i := range rows {
			rows[i] = row[int]{uint64(rnd.IntN(5)), strconv.Itoa(rnd.IntN(300)), i}
		}
		l := List{Offset: rnd.IntN(450), Limit: 1 + rnd.IntN(60), Sort: "x", Desc: rnd.IntN(2) == 0}
		want := slices.Clone(rows)
		slices.SortFunc(want, func(a, b row[int]) int {
			c := cmp.Compare(a.key, b.key)
			if l.Desc {
				c = -c
			}
			return cmp.Or(c, strings.Compare(a.name, b.name))
		})
		want = want[min(l.Offset, len(want)):]
		want = want[:min(l.Limit, len(want))]
		got := page(rows, l)
		if len(got) != len(want) {
			t.Fatalf("%+v of %d rows: %d rows, want %d", l, len(rows), len(got), len(want))
		}
		for i := range got {
			if got[i].key != want[i].key || got[i].name != want[i].name {
				t.Fatalf("%+v: row %d is %v, want %v", l, i, got[i], want[i])
			}
		}
	}
}

func TestPageOutsideOfTheListIsEmpty(t *testing.T) {
	rows := []row[int]{{name: "a"}, {name: "b"}}
	const most = int(^uint(0) >> 1)
	for _, l := range []List{{Offset: 2}, {Offset: most, Limit: most}, {Offset: 3, Limit: -1}} {
		if got := page(slices.Clone(rows), l); got != nil {
			t.Errorf("%+v gives %v", l, got)
		}
	}
	if got := page(slices.Clone(rows), List{Offset: -most - 1, Limit: most}); len(got) != 2 {
		t.Errorf("a negative offset gives %v", got)
	}
}

func TestQueuesAreListedFilteredAndSorted(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "p")
	for i, name := range []string{"orders.new", "orders.old", "Bills", "idle"} {
		p.send(message.Queue(name), numbers(0, 3-i)...)
	}
	if _, err := r.CreateQueue("idle"); err != nil {
		t.Fatal(err)
	}
	if err := r.SetPaused("orders.old", true); err != nil {
		t.Fatal(err)
	}
	p.subscribe(Subscription{Destination: message.Queue("orders.new")})
	p.deliveries(3)
	for _, test := range []struct {
		l     List
		state QueueState
		want  string
	}{
		{List{}, "", "Bills idle orders.new orders.old"},
		{List{Desc: true}, "", "orders.old orders.new idle Bills"},
		{List{Sort: "messages", Desc: true}, "", "orders.new orders.old Bills idle"},
		{List{Sort: "messages", Desc: true, Offset: 1, Limit: 2}, "", "orders.old Bills"},
		{List{Sort: "inFlight", Desc: true, Limit: 1}, "", "orders.new"},
		{List{Filter: "ORD"}, "", "orders.new orders.old"},
		{List{Filter: "bil"}, "", "Bills"},
		{List{Filter: "orders.>"}, "", "orders.new orders.old"},
		{List{Filter: "*"}, "", "Bills idle"},
		{List{}, QueueBacklog, "Bills orders.new orders.old"},
		{List{}, QueueUnserved, "Bills orders.old"},
		{List{}, QueuePaused, "orders.old"},
		{List{}, QueueEmpty, "idle"},
		{List{Filter: "nothing"}, "", ""},
	} {
		got, err := r.Queues(test.l, test.state)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, q := range got.Items {
			names = append(names, q.Destination.Name)
		}
		if strings.Join(names, " ") != test.want {
			t.Errorf("%+v %q: %q, want %q", test.l, test.state, names, test.want)
		}
	}
	_, err := r.Queues(List{Sort: "colour"}, "")
	wantCode(t, err, CodeInvalid, `can't be sorted by "colour"; the keys are name, messages`)
	_, err = r.Queues(List{}, "odd")
	wantCode(t, err, CodeInvalid, `no state "odd"`)
}

func TestBrowsingInPagesSeesEverythingOnceInMemoryAndOnDisk(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			r := newRig(t)
			p := connect(t, r.Broker, "")
			p.send(a, numbers(0, 150)...)
			p.send(a, strings.Repeat("x", 20_000)) // kept by reference
			w := make(waiter, 1)
			p.Publish(p.message(a, "first", func(e *message.Envelope) { e.Priority = 9 }), w, 0)
			if err := <-w; err != nil {
				t.Fatal(err)
			}
			if stored {
				r.restart()
			}
			want := append(append([]string{"first"}, numbers(0, 150)...), strings.Repeat("x", 20_000))
			for _, limit := range []int{1, 7, 64, 500} {
				same(t, r.texts("a", limit), want)
			}
			if got := r.Stats().MemoryUsed; stored && got != 0 {
				t.Errorf("browsing keeps %d bytes in memory", got)
			}
			ref := r.refs("a")[70]
			m, err := r.Message("a", ref)
			if err != nil || string(m.Message.Payload()) != "69" {
				t.Errorf("message %v: %v", ref, err)
			}
			back, err := ParseRef(ref.String())
			if err != nil || back != ref {
				t.Errorf("%v is read as %v, %v", ref, back, err)
			}
		})
	}
}

func TestPurgeRemovesWhatWaitsAndLeavesWhatIsWithConsumers(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			r := newRig(t)
			p := connect(t, r.Broker, "")
			p.send(a, numbers(0, 300)...)
			if stored {
				r.restart()
				p = connect(t, r.Broker, "")
			}
			p.Publish(p.message(a, "transient", func(e *message.Envelope) { e.Durable = false }), nil, 0)
			c := connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a, Window: 5})
			ds := c.deliveries(5)
			n, err := r.Purge("a")
			if err != nil || n != 296 {
				t.Fatalf("%d messages were purged, %v; want 296", n, err)
			}
			same(t, r.texts("a", 100), numbers(0, 5))
			for _, d := range ds {
				c.accept(d)
			}
			p.send(a, "after")
			same(t, r.texts("a", 100), []string{"after"})
			r.kill(3)
			same(t, r.texts("a", 100), []string{"after"})
			if s := r.Stats(); s.Messages != 1 {
				t.Errorf("%d messages", s.Messages)
			}
		})
	}
}

func TestPurgeOfTheWrongNameIsRefused(t *testing.T) {
	r := newRig(t)
	_, err := r.Purge("nothing")
	wantCode(t, err, CodeNotFound, "purge queue://nothing: there is no such queue")
	if got := r.Stats().Queues; got != 0 {
		t.Errorf("%d queues were made", got)
	}
}

func TestMoveIsRefusedWithoutADestinationToItselfAndToTheUnknown(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	p.send(a, "1", "2")
	for _, test := range []struct {
		t    Transfer
		code Code
		text string
	}{
		{Transfer{From: "a", All: true}, CodeInvalid, "no destination"},
		{Transfer{From: "a", All: true, To: message.Queue("")}, CodeInvalid, "no destination"},
		{Transfer{From: "a", All: true, To: a, Create: true}, CodeInvalid, "the destination is the queue itself"},
		{Transfer{From: "a", All: true, To: message.Queue("b")}, CodeNotFound, "queue://b does not exist"},
		{Transfer{From: "a", All: true, To: message.Queue("b.*"), Create: true}, CodeInvalid, "more than one destination"},
		{Transfer{From: "a", All: true, To: message.Queue("b,c"), Create: true}, CodeInvalid, "more than one destination"},
		{Transfer{From: "a", All: true, To: message.Topic("b")}, CodeInvalid, "a topic keeps no messages"},
		{Transfer{From: "a", All: true, To: message.Destination{Kind: message.KindTempQueue, Name: "b"}}, CodeInvalid, "temporary"},
		{Transfer{From: "a", To: message.Queue("b"), Create: true}, CodeInvalid, "which ones?"},
		{Transfer{From: "b", All: true, Action: Delete}, CodeNotFound, "no such queue"},
		{Transfer{From: "a", Refs: make([]MessageRef, MaxTransfer+1), Action: Delete}, CodeLimit, "the limit is 10000"},
	} {
		_, err := r.Transfer(test.t)
		wantCode(t, err, test.code, test.text)
	}
	same(t, r.texts("a", 10), []string{"1", "2"})
}

func TestMovedMessagesAreInOnePlaceAndSurvive(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			r := newRig(t)
			p := connect(t, r.Broker, "")
			p.send(a, numbers(0, 100)...)
			if stored {
				r.restart()
				p = connect(t, r.Broker, "")
			}
			p.Publish(p.message(a, "transient", func(e *message.Envelope) { e.Durable = false }), nil, 0)
			c := connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a, Window: 2})
			c.deliveries(2)
			got, err := r.Transfer(Transfer{From: "a", To: message.Queue("b"), Create: true, All: true, Limit: 60})
			if err != nil || got.Done != 60 || got.Next == "" || !slices.Equal(got.Skipped, []Skip{{SkipInFlight, 2}}) {
				t.Fatalf("%+v, %v", got, err)
			}
			got, err = r.Transfer(Transfer{From: "a", To: message.Queue("b"), All: true, After: got.Next})
			if err != nil || got.Done != 39 || got.Next != "" {
				t.Fatalf("%+v, %v", got, err)
			}
			same(t, r.texts("a", 10), []string{"0", "1"})
			same(t, r.texts("b", 10), append(numbers(2, 100), "transient"))
			c.Close()
			r.kill(5)
			same(t, r.texts("a", 10), []string{"0", "1"})
			same(t, r.texts("b", 10), numbers(2, 100))
		})
	}
}

func TestMoveThatFailsLeavesTheMessagesAvailable(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	p.send(a, "1", "2")
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Transfer(Transfer{From: "a", To: message.Queue("b"), Create: true, All: true})
	wantCode(t, err, CodeUnavailable, "move messages of queue://a")
	if s := r.Stats(); s.InFlight != 0 || s.Messages != 2 {
		t.Errorf("%d of %d messages are held", s.InFlight, s.Messages)
	}
	r.pages.Crash()
	r.open()
	same(t, r.texts("a", 10), []string{"1", "2"})
}

func TestOneMessageIsDeletedAndOnlyThatOne(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	p.send(a, numbers(0, 3)...)
	refs := r.refs("a")
	wrong := refs[1]
	wrong.ID.Lo++
	got, err := r.Transfer(Transfer{Action: Delete, From: "a", Refs: []MessageRef{refs[1], wrong}})
	if err != nil || got.Done != 1 || !slices.Equal(got.Skipped, []Skip{{SkipGone, 1}}) {
		t.Fatalf("%+v, %v", got, err)
	}
	same(t, r.texts("a", 10), []string{"0", "2"})
	_, err = r.Message("a", refs[1])
	wantCode(t, err, CodeNotFound, "not there any more")
}

func TestCopiesHaveIdsOfTheirOwn(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	body := strings.Repeat("y", 10_000) // kept by reference, under its id
	p.send(a, body)
	got, err := r.Transfer(Transfer{Action: Copy, From: "a", To: message.Queue("b"), Create: true, All: true})
	if err != nil || got.Done != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if x, y := r.refs("a")[0].ID, r.refs("b")[0].ID; x == y {
		t.Errorf("both are %v", x)
	}
	r.restart()
	same(t, r.texts("a", 10), []string{body})
	same(t, r.texts("b", 10), []string{body})
}

func TestRetryGoesBackToTheOrigin(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.send(a, "dead")
	k := c.subscribe(Subscription{Destination: a})
	w := make(waiter, 1)
	if err := k.Settle(c.deliveries(1)[0].Tag, Rejected, w, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	k.Close()
	p.send(DeadLetterQueue, "stray")
	got, err := r.Transfer(Transfer{Action: Retry, From: DeadLetterQueue.Name, All: true})
	if err != nil || got.Done != 1 || !slices.Equal(got.Skipped, []Skip{{SkipNoOrigin, 1}}) {
		t.Fatalf("%+v, %v", got, err)
	}
	same(t, r.texts("a", 10), []string{"dead"})
	same(t, r.texts(DeadLetterQueue.Name, 10), []string{"stray"})
	page, err := r.Browse("a", Browse{})
	if err != nil {
		t.Fatal(err)
	}
	if m := page.Messages[0].Message; len(m.Annotations) != 0 || !m.Origin.IsZero() {
		t.Errorf("it still looks dead: %+v", m.Envelope)
	}
}

func TestQueueWithMessagesOrConsumersIsDeletedOnlyByForce(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.send(a, "1")
	wantCode(t, r.DeleteQueue("a", false), CodeInUse, "1 messages wait in it")
	c.subscribe(Subscription{Destination: a})
	wantCode(t, r.DeleteQueue("a", false), CodeInUse, "it has 1 consumers")
	wantCode(t, r.DeleteQueue("b", true), CodeNotFound, "no such queue")
	if err := r.DeleteQueue("a", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "consumer's connection closed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ended != nil && strings.Contains(c.ended.Error(), "deleted queue://a")
	})
	if _, err := r.Queue("a"); CodeOf(err) != CodeNotFound {
		t.Error(err)
	}
	r.restart()
	if got := r.Stats().Queues; got != 0 {
		t.Errorf("%d queues came back", got)
	}
}

func TestConnectionsConsumersAndSubscriptionsAreListed(t *testing.T) {
	r := newRig(t)
	x, y := connect(t, r.Broker, "x"), connect(t, r.Broker, "y")
	x.send(a, "1")
	y.subscribe(Subscription{Destination: a, Priority: 3})
	y.subscribe(Subscription{Destination: message.Topic("news.>")})
	y.subscribe(Subscription{Destination: message.Topic("news.>"), Durable: "d"})
	y.deliveries(1)
	conns, err := r.Connections(List{}, false)
	if err != nil || conns.Total != 2 || conns.Items[0].ClientID != "x" || conns.Items[1].Consumers != 3 || conns.Items[1].Unsettled != 1 {
		t.Fatalf("%+v, %v", conns, err)
	}
	producers, err := r.Connections(List{}, true)
	if err != nil || producers.Total != 1 || producers.Items[0].Sent != 1 {
		t.Fatalf("%+v, %v", producers, err)
	}
	consumers, err := r.Consumers(List{}, 0, a)
	if err != nil || consumers.Total != 1 || consumers.Items[0].Priority != 3 || consumers.Items[0].Delivered != 1 {
		t.Fatalf("%+v, %v", consumers, err)
	}
	subs, err := r.Subscriptions(List{}, false)
	if err != nil || subs.Total != 2 || !subs.Items[0].Durable || subs.Items[0].Consumers != 1 || subs.Items[1].Durable {
		t.Fatalf("%+v, %v", subs, err)
	}
	topics, err := r.ListTopics(List{})
	if err != nil || !slices.Equal(topics.Items, []TopicInfo{{"news.>", 1, 1, false}}) {
		t.Fatalf("%+v, %v", topics, err)
	}
	wantCode(t, r.DeleteSubscription("y", "d"), CodeInUse, "active consumer")
	wantCode(t, r.DeleteSubscription("y", "e"), CodeNotFound, "none of that name")
	wantCode(t, r.CloseConnection(99, ""), CodeNotFound, "no connection 99")
	if err := r.CloseConnection(conns.Items[1].ID, "maintenance"); err != nil {
		t.Fatal(err)
	}
	y.mu.Lock()
	ended := y.ended
	y.mu.Unlock()
	wantCode(t, ended, CodeState, "an administrator closed the connection: maintenance")
	y.Close()
	if err := r.DeleteSubscription("y", "d"); err != nil {
		t.Fatal(err)
	}
}

func TestSendOfAdministratorsIsAllOrNothing(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	one, other := p.message(a, "1"), p.message(message.Queue("b"), "2")
	wantCode(t, r.Send(false, one), CodeNotFound, "create it first")
	wantCode(t, r.Send(true, one, p.message(message.Queue("b.>"), "3")), CodeInvalid, "more than one destination")
	if r.Stats().Messages != 0 {
		t.Error("half of it was sent")
	}
	if err := r.Send(true, one, other); err != nil {
		t.Fatal(err)
	}
	same(t, r.texts("b", 10), []string{"2"})
}

func TestSelectorsPickMessagesToBrowseAndMove(t *testing.T) {
	r := newRig(t)
	for i := range 200 {
		m := message.NewView(&message.Envelope{ID: r.NewID(), Destination: a, Durable: true, Priority: 4, Timestamp: 1}, &message.View{
			Properties: []message.Property{{Name: "n", Value: message.Int64Value(int64(i))}}, Body: message.TextBody(strconv.Itoa(i)),
		})
		if err := r.Send(true, m); err != nil {
			t.Fatal(err)
		}
	}
	r.restart()
	got, err := r.Browse("a", Browse{Selector: "n BETWEEN 100 AND 103"})
	if err != nil || len(got.Messages) != 4 || got.Next != "" {
		t.Fatalf("%d messages, %v", len(got.Messages), err)
	}
	moved, err := r.Transfer(Transfer{From: "a", To: message.Queue("b"), Create: true, Selector: "n >= 150", Limit: 30})
	if err != nil || moved.Done != 30 || moved.Next == "" {
		t.Fatalf("%+v, %v", moved, err)
	}
	_, err = r.Browse("a", Browse{Selector: "n >"})
	wantCode(t, err, CodeInvalid, "selector: ")
	if s, err := r.Queue("b"); err != nil || s.Messages != 30 {
		t.Errorf("%+v, %v", s, err)
	}
}

func BenchmarkListOf100000Queues(b *testing.B) {
	const n = 100_000
	br, err := Open(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = br.Close(b.Context()) }()
	for i := range n {
		br.queueFor(message.Queue(fmt.Sprintf("bench.region-%d.orders.%d", i%17, i)))
	}
	for _, test := range []struct {
		name  string
		l     List
		state QueueState
	}{
		{"ByName", List{Limit: 100}, ""},
		{"LastPage", List{Limit: 100, Offset: n - 100}, ""},
		{"Middle500", List{Limit: 500, Offset: n / 2}, ""},
		{"ByMessages", List{Limit: 100, Sort: "messages", Desc: true}, ""},
		{"Filtered", List{Limit: 100, Filter: "ORDERS.777"}, ""},
		{"Backlog", List{Limit: 100}, QueueBacklog},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := br.Queues(test.l, test.state); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
