package broker

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// fence is a broker with users: owner may do everything, guest and other what
// a test grants.
type fence struct {
	*rig
	sec         *security.Security
	permissions string              // file
	reply       message.Destination // a temporary queue of the owner's
}

const testPassword = "a test's"

var testHash = sync.OnceValues(func() (string, error) { return security.HashPassword(testPassword) })

func writeTo(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newFence(t *testing.T, grants string, edit ...func(*Options)) *fence {
	t.Helper()
	h, err := testHash()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := &fence{permissions: filepath.Join(dir, "permissions")}
	users := filepath.Join(dir, "users")
	writeTo(t, users, "owner:"+h+"\nguest:"+h+":guests\nother:"+h+"\n")
	writeTo(t, f.permissions, grants+ownerGrants)
	if f.sec, err = security.Open(security.Options{Users: users, Permissions: f.permissions}); err != nil {
		t.Fatal(err)
	}
	f.rig = newRig(t, append(edit, func(o *Options) { o.Security = f.sec })...)
	return f
}

const ownerGrants = "\nqueue://> all owner\ntopic://> all owner\ntemp://> all owner\n" +
	"queue://open.> read,write,create guest\ntopic://open.> read,write guest\n"

// grant replaces what guest and other may do.
func (f *fence) grant(grants string) {
	f.t.Helper()
	writeTo(f.t, f.permissions, grants+ownerGrants)
	if err := f.sec.Reload(); err != nil {
		f.t.Fatal(err)
	}
	f.Reauthorize()
}

func (f *fence) tryAs(login, clientID string, edit ...func(*ConnectRequest)) (*client, error) {
	c := &client{t: f.t}
	r := ConnectRequest{Protocol: "test", ClientID: clientID, Login: login, Passcode: testPassword, Sink: c}
	for _, e := range edit {
		e(&r)
	}
	s, err := f.Connect(r)
	c.Session = s
	return c, err
}

func (f *fence) as(login, clientID string) *client {
	f.t.Helper()
	c, err := f.tryAs(login, clientID)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func wantRefusal(t *testing.T, what string, err error, want Code) {
	t.Helper()
	if err == nil || CodeOf(err) != want {
		t.Errorf("%s: %v, want code %s", what, err, want)
	}
}

// try sends and returns what the broker says.
func (c *client) try(m *message.Message) error {
	w := make(waiter, 1)
	c.Publish(m, w, 0)
	return <-w
}

func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

func (c *client) closedWith() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func TestOnlyWhoIsKnownConnects(t *testing.T) {
	f := newFence(t, "")
	if c := f.as("guest", ""); c.Principal().Name != "guest" || c.Principal().ClientID != c.ClientID() {
		t.Errorf("got %+v", c.Principal())
	}
	for _, edit := range []func(*ConnectRequest){
		func(r *ConnectRequest) { r.Passcode = "wrong" },
		func(r *ConnectRequest) { r.Passcode = "" },
		func(r *ConnectRequest) { r.Login, r.Passcode = "", "" },
		func(r *ConnectRequest) { r.Login = "nobody" },
	} {
		_, err := f.tryAs("guest", "taken", edit)
		wantRefusal(t, "connect", err, CodeUnauthorized)
	}
	if s := f.Stats(); s.Sessions != 1 || s.Unauthenticated != 4 {
		t.Errorf("%d sessions, %d refused", s.Sessions, s.Unauthenticated)
	}
	f.as("guest", "taken") // who was refused holds no client id
}

func TestClientIdsAreNotTakenOverByOtherUsers(t *testing.T) {
	f := newFence(t, "")
	takeOver := func(r *ConnectRequest) { r.TakeOver = true }
	first := f.as("guest", "id")
	_, err := f.tryAs("other", "id", takeOver)
	wantRefusal(t, "another user", err, CodeForbidden)
	if err := first.closedWith(); err != nil {
		t.Fatalf("the first was ended: %v", err)
	}
	if _, err := f.tryAs("guest", "id", takeOver); err != nil || first.closedWith() == nil {
		t.Errorf("the same user: %v, the first: %v", err, first.closedWith())
	}
}

func TestDurableSubscriptionsBelongToTheirUser(t *testing.T) {
	f := newFence(t, "topic://t read guest other")
	sub := Subscription{Destination: message.Topic("t"), Durable: "d"}
	first := f.as("guest", "id")
	first.subscribe(sub)
	first.Close()
	owner := f.as("owner", "")
	owner.send(sub.Destination, "kept")
	thief := f.as("other", "id")
	_, err := thief.Subscribe(sub)
	wantRefusal(t, "subscribe", err, CodeForbidden)
	wantRefusal(t, "replace", func() error {
		_, err := thief.Subscribe(Subscription{Destination: message.Topic("t"), Durable: "d", NoLocal: true})
		return err
	}(), CodeForbidden)
	wantRefusal(t, "remove", thief.DeleteDurable("d"), CodeForbidden)
	thief.Close()
	f.restart()
	again := f.as("guest", "id")
	again.subscribe(sub)
	wantBodies(t, again.deliveries(1), "kept")
}

func TestMessagesCarryTheUserThatSentThem(t *testing.T) {
	for _, populate := range []bool{false, true} {
		f := newFence(t, "queue://open.q read,write guest", func(o *Options) { o.PopulateUserID = populate })
		g := f.as("guest", "")
		g.subscribe(Subscription{Destination: message.Queue("open.q")})
		forged := func(e *message.Envelope) { e.UserID = "owner" }
		want := ""
		if populate {
			want = "guest"
		}
		if g.UserID() != want {
			t.Errorf("populate %v: the session says %q", populate, g.UserID())
		}
		if err := g.try(g.message(message.Queue("open.q"), "forged", forged)); err != nil {
			t.Fatal(err)
		}
		tx := g.Begin()
		if err := tx.Publish(g.message(message.Queue("open.q"), "in a transaction", forged)); err != nil {
			t.Fatal(err)
		}
		tx.Commit(nil, 0)
		for _, d := range g.deliveries(2) {
			if d.Message.UserID != want {
				t.Errorf("populate %v: %q says it is from %q", populate, d.Message.Payload(), d.Message.UserID)
			}
		}
	}
}

func TestReloadEndsWhatIsNotAllowedAnyMore(t *testing.T) {
	const all = "queue://q.> read,create guest\ntopic://t.> read guest\ntemp://> create guest"
	for _, test := range []struct {
		name string
		sub  Subscription
		ends bool
	}{
		{"queue", Subscription{Destination: message.Queue("q.a")}, true},
		{"topic", Subscription{Destination: message.Topic("t.a")}, true},
		{"durable", Subscription{Destination: message.Topic("t.a"), Durable: "d"}, true},
		{"durable to a pattern", Subscription{Destination: message.Topic("t.>"), Durable: "d"}, true},
		{"composite", Subscription{Destination: message.Queue("open.a,q.a")}, true},
		{"pattern of queues, in part", Subscription{Destination: message.Queue(">")}, false},
		{"pattern of topics, in part", Subscription{Destination: message.Topic(">")}, false},
		{"another queue", Subscription{Destination: message.Queue("open.b")}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFence(t, all)
			o, g := f.as("owner", ""), f.as("guest", "g")
			g.subscribe(test.sub)
			f.grant("")
			if err := g.closedWith(); (err != nil) != test.ends {
				t.Fatalf("the connection ended with %v", err)
			} else if test.ends {
				wantRefusal(t, "end", err, CodeForbidden)
			}
			for _, d := range []message.Destination{message.Queue("q.a"), message.Queue("q.new"), message.Topic("t.a")} {
				o.send(d, "secret")
			}
			f.settled(o)
			if n := g.count(); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
			if test.ends {
				return
			}
			o.send(message.Queue("open.b"), "open")
			o.send(message.Topic("open.b"), "open")
			wantBodies(t, g.deliveries(1), "open")
		})
	}
}

// settled returns when everything that was sent before has been dispatched.
func (f *fence) settled(c *client) {
	w := make(waiter, 1)
	c.Sync(w, 0)
	if err := <-w; err != nil {
		f.t.Fatal(err)
	}
}

func TestAPatternFollowsWhatIsGrantedLater(t *testing.T) {
	f := newFence(t, "")
	o, g := f.as("owner", ""), f.as("guest", "")
	o.send(message.Queue("q.a"), "1")
	g.subscribe(Subscription{Destination: message.Queue(">")})
	f.settled(o)
	if n := g.count(); n != 0 {
		t.Fatalf("%d messages arrived", n)
	}
	f.grant("queue://q.> read guest")
	wantBodies(t, g.deliveries(1), "1")
	o.send(message.Queue("q.b"), "2")
	wantBodies(t, g.deliveries(2), "1", "2")
}

// What waits for a slow consumer of a pattern is looked at again.
func TestReloadDropsWhatWaitsForASlowSubscriber(t *testing.T) {
	f := newFence(t, "topic://t.> read guest")
	o, g := f.as("owner", ""), f.as("guest", "")
	k := g.subscribe(Subscription{Destination: message.Topic(">"), Window: 1})
	for _, body := range []string{"1", "2", "3"} {
		o.send(message.Topic("t.a"), body)
	}
	o.send(message.Topic("open.a"), "4")
	first := g.deliveries(1)[0]
	f.grant("")
	if err := k.Settle(first.Tag, Accepted, nil, 0); err != nil {
		t.Fatal(err)
	}
	wantBodies(t, g.deliveries(2), "1", "4")
}

// revoker is a connection whose protocol can end one subscription.
type revoker struct {
	*client
	revoked chan error
}

func (r *revoker) Revoked(_ *Consumer, err error) { r.revoked <- err }

func TestAProtocolThatCanEndsOneSubscriptionOnly(t *testing.T) {
	f := newFence(t, "queue://q read,create guest")
	r := &revoker{&client{t: t}, make(chan error, 2)}
	s, err := f.Connect(ConnectRequest{Login: "guest", Passcode: testPassword, Sink: r})
	if err != nil {
		t.Fatal(err)
	}
	r.Session = s
	r.subscribe(Subscription{Destination: message.Queue("q")})
	r.subscribe(Subscription{Destination: message.Queue("open.q")})
	f.grant("")
	wantRefusal(t, "revoked", <-r.revoked, CodeForbidden)
	if err := r.closedWith(); err != nil {
		t.Errorf("the connection ended: %v", err)
	}
	o := f.as("owner", "")
	o.send(message.Queue("q"), "secret")
	o.send(message.Queue("open.q"), "open")
	wantBodies(t, r.deliveries(1), "open")
}

func TestUsersThatAreRemovedAreDisconnected(t *testing.T) {
	f := newFence(t, "")
	g, o := f.as("guest", ""), f.as("owner", "")
	g.subscribe(Subscription{Destination: message.Queue("open.q")})
	h, _ := testHash()
	writeTo(t, filepath.Join(filepath.Dir(f.permissions), "users"), "owner:"+h+"\n")
	f.grant("")
	wantRefusal(t, "end", g.closedWith(), CodeUnauthorized)
	wantRefusal(t, "send", g.try(g.message(message.Queue("open.q"), "x")), CodeForbidden)
	if err := o.closedWith(); err != nil {
		t.Errorf("the owner was disconnected: %v", err)
	}
	o.send(message.Queue("open.q"), "x")
	f.settled(o)
	if n := g.count(); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
	if _, err := f.tryAs("guest", ""); CodeOf(err) != CodeUnauthorized {
		t.Errorf("connect again: %v", err)
	}
}

func TestSessionsEndWhenTheirProofDoes(t *testing.T) {
	f := newFence(t, "")
	soon, later := f.as("guest", ""), f.as("other", "")
	for c, at := range map[*client]time.Duration{soon: 20 * time.Millisecond, later: time.Hour} {
		c.rights.mu.Lock()
		p := *c.rights.principal
		p.Expires = time.Now().Add(at)
		c.rights.principal = &p
		c.rights.mu.Unlock()
		f.expiry.watch(c.Session)
	}
	eventually(t, "end of the session", func() bool { return soon.closedWith() != nil })
	wantRefusal(t, "end", soon.closedWith(), CodeUnauthorized)
	if err := later.closedWith(); err != nil {
		t.Errorf("the other one ended: %v", err)
	}
}
