package amqp

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/protocols"
)

const grants = "queue://open.> all reader\nqueue://shut.> read reader\ntopic://news read reader\n"

func securedRig(t *testing.T) *rig {
	t.Helper()
	hash, err := security.HashPassword("a test's")
	if err != nil {
		t.Fatal(err)
	}
	return rigOf(t, nil, "reader:"+hash+"\n")
}

// rigOf is a rig with users.
func rigOf(t *testing.T, values protocols.Values, usersFile string) *rig {
	t.Helper()
	dir := t.TempDir()
	users, permissions := filepath.Join(dir, "users"), filepath.Join(dir, "permissions")
	for file, text := range map[string]string{users: usersFile, permissions: grants} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sec, err := security.Open(security.Options{Users: users, Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	return newRigWith(t, values, broker.Options{Security: sec, PopulateUserID: true})
}

// refused checks that err is the broker's refusal.
func refused(t *testing.T, what string, err error, want goamqp.ErrCond) {
	t.Helper()
	said, ok := errors.AsType[*goamqp.Error](err)
	if link, isLink := errors.AsType[*goamqp.LinkError](err); !ok && isLink {
		said = link.RemoteErr
	}
	if said == nil || said.Condition != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestOnlyWhoHasProvenWhoTheyAreGetIn(t *testing.T) {
	r := securedRig(t)
	for name, sasl := range map[string]goamqp.SASLType{
		"nobody": nil, "anonymous": goamqp.SASLTypeAnonymous(), "wrong": goamqp.SASLTypePlain("reader", "wrong"), "empty": goamqp.SASLTypePlain("", ""),
	} {
		if c, err := goamqp.Dial(r.ctx, "amqp://"+r.address, &goamqp.ConnOptions{SASLType: sasl}); err == nil {
			// A connection without SASL is refused by the answer to its open.
			if _, err = c.NewSession(r.ctx, nil); err == nil {
				t.Errorf("%s was let in", name)
			}
			_ = c.Close()
		}
	}
}

func TestPermissionsHoldForLinksAndMessages(t *testing.T) {
	r := securedRig(t)
	c, err := goamqp.Dial(r.ctx, "amqp://"+r.address, &goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain("reader", "a test's")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := r.session(c)
	_, err = s.NewSender(r.ctx, "shut.a", nil)
	refused(t, "a sender to what may only be read", err, goamqp.ErrCondUnauthorizedAccess)
	_, err = s.NewReceiver(r.ctx, "other", nil)
	refused(t, "a receiver of what may not be read", err, goamqp.ErrCondUnauthorizedAccess)
	_, err = s.NewReceiver(r.ctx, "topic://>", &goamqp.ReceiverOptions{Name: "sub", SourceDurability: goamqp.DurabilityUnsettledState})
	refused(t, "a durable subscription to everything", err, goamqp.ErrCondUnauthorizedAccess)
	to, spoofed := "shut.a", "queue://open.a"
	relay := r.sender(s, "", nil)
	refused(t, "a message by the anonymous relay",
		relay.Send(r.ctx, &goamqp.Message{Value: "x", Properties: &goamqp.MessageProperties{To: &to}}, nil), goamqp.ErrCondUnauthorizedAccess)
	refused(t, "a message in somebody else's name",
		relay.Send(r.ctx, &goamqp.Message{Value: "x", Properties: &goamqp.MessageProperties{To: &spoofed, UserID: []byte("owner")}}, nil),
		goamqp.ErrCondUnauthorizedAccess)
	out, in := r.sender(s, "open.a", nil), r.receiver(s, "open.a", nil)
	r.send(out, &goamqp.Message{Value: "x"})
	r.accept(in, r.receive(in))
}

// Proton's and rhea's containers open a connection for each link that is given
// by an address, all under one container id.
func TestAContainerMayHaveSeveralConnectionsUnlessOneIsToBeTheOnly(t *testing.T) {
	r := newRig(t, nil)
	first, second := r.dial("c"), r.dial("c")
	r.send(r.sender(r.session(first), "a", nil), goamqp.NewMessage([]byte("x")))
	in := r.receiver(r.session(second), "a", nil)
	r.accept(in, r.receive(in))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	sole := func(id string) condition {
		w := r.wire()
		w.header(headerAMQP)
		w.say(&open{containerID: id, maxFrameSize: minFrame, desiredCapabilities: []string{soleConnection}})
		w.expect(codeOpen)
		if id == "d" {
			w.begin(1)
			return condition{}
		}
		return w.ends(codeClosing)
	}
	if got := sole("c"); got.condition != errInvalidField {
		t.Errorf("a sole connection of a container that has others: %+v", got)
	}
	sole("d")
	c, err := goamqp.Dial(r.ctx, "amqp://"+r.address, &goamqp.ConnOptions{ContainerID: "d"})
	if err == nil {
		_, err = c.NewSession(r.ctx, nil)
		_ = c.Close()
	}
	if err == nil {
		t.Error("another connection of a container that wants one only")
	}
}
