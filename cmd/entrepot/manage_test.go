package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// managedBroker is a broker with an API for commands to ask.
type managedBroker struct {
	t *testing.T
	*broker.Broker
	address string
}

func newManaged(t *testing.T) *managedBroker {
	t.Helper()
	b, err := broker.Open(broker.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.New(api.Options{
		Broker: func() *broker.Broker { return b }, Version: "1", StartedAt: time.Now(),
		Converters: message.Converters{message.EncodingHub: message.Hub{}},
	}))
	t.Cleanup(func() {
		server.Close()
		_ = b.Close(t.Context())
	})
	return &managedBroker{t, b, server.Listener.Addr().String()}
}

func (b *managedBroker) run(stdin string, args ...string) result {
	b.t.Helper()
	return runWith(b.t.Context(), stdin, []string{"ENTREPOT_CONSOLE_ADDRESS=" + b.address}, args...)
}

// ok runs a command that has to succeed, and returns what it printed.
func (b *managedBroker) ok(line string) string {
	b.t.Helper()
	r := b.run("", strings.Fields(line)...)
	if r.code != exitOK {
		b.t.Fatalf("%s: code %d: %s", line, r.code, r.err)
	}
	return r.out
}

func (b *managedBroker) send(queue string, bodies ...string) {
	b.publish(message.Queue(queue), bodies...)
}

func (b *managedBroker) publish(d message.Destination, bodies ...string) {
	b.t.Helper()
	for _, body := range bodies {
		e := message.Envelope{ID: b.NewID(), Destination: d, Durable: true, Priority: 4, Timestamp: 1}
		if err := b.Send(true, message.NewView(&e, &message.View{Body: message.TextBody(body)})); err != nil {
			b.t.Fatal(err)
		}
	}
}

type idleSink struct{}

func (idleSink) Deliver(broker.Delivery) {}
func (idleSink) Resume()                 {}
func (idleSink) Closed(error)            {}

func (b *managedBroker) client() {
	b.t.Helper()
	s, err := b.Connect(broker.ConnectRequest{Protocol: "test", ClientID: "office", Sink: idleSink{}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(s.Close)
	if _, err := s.Subscribe(broker.Subscription{Destination: message.Topic("news"), Durable: "reader", Window: 1}); err != nil {
		b.t.Fatal(err)
	}
}

// schedule has a message sent every second, in an hour.
func (b *managedBroker) schedule() string {
	b.t.Helper()
	s, err := b.Connect(broker.ConnectRequest{Protocol: "test", Sink: idleSink{}})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	e := message.Envelope{ID: b.NewID(), Destination: message.Queue("later"), Durable: true, Timestamp: 1, Annotations: []message.Annotation{
		{Name: "AMQ_SCHEDULED_DELAY", Value: "3600000"}, {Name: "AMQ_SCHEDULED_PERIOD", Value: "1000"}, {Name: "AMQ_SCHEDULED_REPEAT", Value: "3"},
	}}
	w := make(confirmed, 1)
	s.Publish(message.NewView(&e, &message.View{}), w, 0)
	if err := <-w; err != nil {
		b.t.Fatal(err)
	}
	return e.ID.String()
}

// prepare has a client prepare a transaction and go away.
func (b *managedBroker) prepare(name string) {
	b.t.Helper()
	s, err := b.Connect(broker.ConnectRequest{Protocol: "test", Sink: idleSink{}})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	tx := s.Begin()
	e := message.Envelope{ID: b.NewID(), Destination: message.Queue("prepared"), Durable: true, Timestamp: 1}
	if err := tx.Publish(message.NewView(&e, &message.View{})); err != nil {
		b.t.Fatal(err)
	}
	w := make(confirmed, 1)
	if _, err := tx.Prepare(name, w, 0); err != nil {
		b.t.Fatal(err)
	}
	if err := <-w; err != nil {
		b.t.Fatal(err)
	}
}

func TestTransactionCommandsEndWhatWasPrepared(t *testing.T) {
	b := newManaged(t)
	b.prepare("a")
	b.prepare("b")
	if out := b.ok("tx ls -o wide"); !strings.Contains(out, "61 ") || !strings.Contains(out, "62 ") || !strings.Contains(out, "queue://prepared") {
		t.Errorf("%s", out)
	}
	b.ok("tx commit --yes 61")
	b.ok("tx rollback --yes 62")
	if r := b.run("", "tx", "commit", "--yes", "61"); r.code != exitNotFound {
		t.Errorf("%+v", r)
	}
	if q, err := b.Queue("prepared"); err != nil || q.Messages != 1 {
		t.Errorf("%+v %v", q, err)
	}
}

func TestDefinitionsOfOneBrokerMakeThoseOfAnother(t *testing.T) {
	from, to := newManaged(t), newManaged(t)
	from.ok("queue create orders")
	from.ok("topic create news")
	from.ok("sub create office reader news.> --no-local")
	document := from.ok("definitions export")
	for _, made := range []string{`{"queues":1,"subscriptions":1,"topics":1}`, `{"queues":0,"subscriptions":0,"topics":0}`} {
		r := to.run(document, "definitions", "import", "-o", "jsonl")
		if strings.TrimSpace(r.out) != made {
			t.Errorf("got %s%s, want %s", r.out, r.err, made)
		}
	}
	if got := to.ok("definitions export"); got != document {
		t.Errorf("got %s, want %s", got, document)
	}
	if out := to.ok("topic info news"); !strings.Contains(out, "news") {
		t.Errorf("%s", out)
	}
	if out := to.ok("sub info office reader"); !strings.Contains(out, "news.>") {
		t.Errorf("%s", out)
	}
}

type confirmed chan error

func (c confirmed) Complete(_ uint64, err error) { c <- err }

func TestScheduleCommandsDoWhatTheySay(t *testing.T) {
	b := newManaged(t)
	id := b.schedule()
	if out := b.ok("sched ls --destination later"); !strings.Contains(out, id) || !strings.Contains(out, "queue://later") {
		t.Errorf("%s", out)
	}
	b.ok("sched run " + id)
	if q, err := b.Queue("later"); err != nil || q.Enqueued != 1 {
		t.Errorf("%+v %v", q, err)
	}
	b.ok("sched rm --yes " + id)
	if r := b.run("", "sched", "info", id); r.code != exitNotFound {
		t.Errorf("%+v", r)
	}
}

// managedCommands are the commands of the API that print objects, each with
// arguments that work.
func managedCommands(b *managedBroker) map[string]string {
	b.send("orders", "1", "2", "3")
	b.client()
	page, err := b.Browse("orders", broker.Browse{})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.CreateDurable(broker.DurableID{Name: "workers", Topic: "news", Shared: true}); err != nil {
		b.t.Fatal(err)
	}
	b.publish(message.Topic("news"), "m")
	b.prepare("branch")
	definitions := filepath.Join(b.t.TempDir(), "definitions.json")
	b.ok("definitions export --file " + definitions)
	ref := page.Messages[0].Ref.String()
	return map[string]string{
		"queue ls": "", "queue info": "orders", "queue create": "fresh", "queue rm": "", "queue purge": "purgeable --yes",
		"queue pause": "orders", "queue resume": "orders", "queue browse": "orders",
		"queue move": "orders moved --create " + ref, "queue copy": "orders copied --create --all", "queue retry": "orders --all --yes",
		"queue export": "", "queue import": "fresh --file " + os.DevNull,
		"topic ls": "", "topic create": "fresh", "topic info": "news", "topic rm": "", "sub browse": "* workers", "sub info": "office reader", "sub create": "* more news --shared", "sub purge": "* workers --yes",
		"sub ls": "", "sub rm": "", "conn ls": "", "conn info": "1", "conn close": "",
		"msg show": "orders " + page.Messages[1].Ref.String(), "msg rm": "",
		"sched ls": "", "sched info": b.schedule(), "sched rm": "", "sched run": "",
		"tx ls": "", "tx commit": "", "tx rollback": "",
		"definitions export": "", "definitions import": "--file " + definitions,
	}
}

func TestEveryManagementCommandSpeaksEveryFormat(t *testing.T) {
	silent := []string{"queue rm", "sub rm", "topic rm", "conn close", "msg rm", "sched rm", "sched run", "queue export", "tx commit", "tx rollback", "definitions export"} // print nothing, or lines of their own
	var names []string
	for _, noun := range (&program{}).root().Commands() {
		if !slices.Contains([]string{"queue", "topic", "sub", "conn", "msg", "sched", "tx", "definitions"}, noun.Name()) {
			continue
		}
		for _, verb := range noun.Commands() {
			names = append(names, noun.Name()+" "+verb.Name())
		}
	}
	for _, output := range outputs {
		b := newManaged(t)
		b.send("purgeable", "x")
		args := managedCommands(b)
		for _, name := range names {
			arg, known := args[name]
			if !known {
				t.Errorf("%s is not tested", name)
			}
			if slices.Contains(silent, name) {
				continue
			}
			out := b.ok(name + " " + arg + " -o " + output)
			switch output {
			case "json":
				if !json.Valid([]byte(out)) {
					t.Errorf("%s -o json: %s", name, out)
				}
			case "jsonl":
				for line := range strings.Lines(out) {
					if !json.Valid([]byte(line)) {
						t.Errorf("%s -o jsonl: %s", name, line)
					}
				}
			default:
				if strings.TrimSpace(out) == "" {
					t.Errorf("%s -o %s prints nothing", name, output)
				}
			}
		}
	}
}

func TestQueueCommandsDoWhatTheySay(t *testing.T) {
	b := newManaged(t)
	b.send("orders", "1", "2", "3")
	b.client()
	if out := b.ok("queue ls"); out != "NAME    MESSAGES  IN-FLIGHT  CONSUMERS  ENQUEUED  DEQUEUED  PAUSED\norders  3         0          0          3         0         false\n" {
		t.Errorf("%s", out)
	}
	lines := b.ok("queue export orders")
	if n := strings.Count(lines, "\n"); n != 3 {
		t.Errorf("%d lines", n)
	}
	file := filepath.Join(t.TempDir(), "orders.jsonl")
	b.ok("queue export orders --file " + file)
	b.ok("queue import copy --create --file " + file)
	if r := b.run(lines, "queue", "import", "copy", "-o", "json"); !strings.Contains(r.out, `"duplicates": 3`) {
		t.Errorf("%+v", r)
	}
	b.ok("queue move orders parked --create --all --limit 2 --yes")
	if out := b.ok("queue browse parked -o jsonl"); strings.Count(out, "\n") != 2 {
		t.Errorf("%s", out)
	}
	if out := b.ok("queue purge parked --yes"); out != "REMOVED  2\n" {
		t.Errorf("%q", out)
	}
	b.ok("queue rm parked --yes")
	b.ok("conn close 1 --yes --reason done")
	b.ok("queue create ..")
	b.ok("queue rm .. -y")
}

func TestTopicAndSubscriptionCommandsDoWhatTheySay(t *testing.T) {
	b := newManaged(t)
	if out := b.ok("topic create news -o json"); !strings.Contains(out, `"created": true`) {
		t.Errorf("%s", out)
	}
	if _, err := b.CreateDurable(broker.DurableID{ClientID: "office", Name: "reader", Topic: "news"}); err != nil {
		t.Fatal(err)
	}
	b.publish(message.Topic("news"), "1", "2")
	if out := b.ok("sub browse office reader -o jsonl"); strings.Count(out, "\n") != 2 {
		t.Errorf("%s", out)
	}
	if out := b.ok("sub purge office reader --yes"); out != "REMOVED  2\n" {
		t.Errorf("%q", out)
	}
	if r := b.run("", "topic", "rm", "news", "--yes"); r.code != exitConflict {
		t.Errorf("%+v", r)
	}
	b.ok("topic rm news --force --yes")
	if r := b.run("", "sub", "browse", "office", "reader"); r.code != exitNotFound {
		t.Errorf("%+v", r)
	}
}

func TestManagementErrorsHaveTheirExitCodes(t *testing.T) {
	b := newManaged(t)
	b.send("orders", "1")
	b.client()
	for _, test := range []struct {
		args, want string
		code       int
	}{
		{"queue info", "NAME is missing", exitUsage},
		{"queue info none", "there is no such queue", exitNotFound},
		{"queue rm orders --yes", "1 messages wait in it", exitConflict},
		{"queue rm orders", "--yes says that you are sure", exitUsage},
		{"queue purge none --yes", "there is no such queue", exitNotFound},
		{"queue move orders", "TO is missing", exitUsage},
		{"queue move orders other --yes", "which messages?", exitUsage},
		{"queue move orders other --all --yes", "does not exist", exitNotFound},
		{"queue move orders orders --all --yes", "the destination is the queue itself", exitUsage},
		{"queue ls -o xml", "--output", exitUsage},
		{"queue ls --sort colour", "can't be sorted", exitUsage},
		{"queue ls -n -1", "--limit -1 is negative", exitUsage},
		{"queue ls --console nowhere", "neither host:port nor an http address", exitUsage},
		{"queue ls --console " + closedPort(t), "nothing listens", exitError},
		{"sub rm office reader --yes", "active consumer", exitConflict},
		{"msg show orders 1.2.3", "not there any more", exitNotFound},
		{"conn info 99", "no connection 99", exitNotFound},
	} {
		r := b.run("", strings.Fields(test.args)...)
		if r.code != test.code || !strings.Contains(r.err, test.want) {
			t.Errorf("%s: code %d, %q; want %d with %q", test.args, r.code, r.err, test.code, test.want)
		}
	}
}

func TestEveryDestructiveCommandAsks(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, word := range []string{"rm", "purge", "close", "move", "retry"} {
			noun := cmd.Parent()
			if cmd.Name() == word && noun != nil && noun.Name() != "user" && cmd.Flags().Lookup("yes") == nil {
				t.Errorf("%s does not ask", cmd.CommandPath())
			}
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit((&program{}).root())
}

func TestCellsHoldNoControlCharacters(t *testing.T) {
	for in, want := range map[string]string{"a\x1b[31mb\n\u009bc": "a [31mb  c", "": "-", strings.Repeat("é", 70): strings.Repeat("é", 57) + "..."} {
		if got := cell(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
