package openwire

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// The matrix of permissions through OpenWire: each way to receive and to send,
// to a destination that the guest may use and to one that only its owner may.

// fencedRig has an owner of everything and a guest who may use "may.>".
func fencedRig(t *testing.T) *rig {
	t.Helper()
	hash, err := security.HashPassword("password")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	users, permissions := filepath.Join(dir, "users"), filepath.Join(dir, "permissions")
	for file, text := range map[string]string{
		users:       "owner:" + hash + "\nguest:" + hash + "\n",
		permissions: "queue://> all owner\ntopic://> all owner\nqueue://may.> all guest\ntopic://may.> all guest\ntopic://ActiveMQ.Advisory.> read *\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := security.Open(security.Options{Users: users, Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, protocols.Values{}, func(o *broker.Options) { o.Security = s })
}

func login(id, user, password string) *wire.ConnectionInfo {
	return &wire.ConnectionInfo{
		ConnectionID: &wire.ConnectionID{Value: wire.Text(id)}, ClientID: wire.Text("client of " + id),
		UserName: wire.Text(user), Password: wire.Text(password),
	}
}

// with returns the rig for a subtest.
func (r *rig) with(t *testing.T) *rig {
	t.Helper()
	of := *r
	of.t = t
	return &of
}

// connectUser opens a connection with session 1 and producer 1.
func (r *rig) connectUser(user string) *peer {
	r.t.Helper()
	c := r.negotiate(wire.Format{Version: 12})
	r.users++
	c.id = fmt.Sprintf("%s-%s-%d", user, r.t.Name(), r.users)
	c.ask(login(c.id, user, "password"))
	c.ask(&wire.SessionInfo{SessionID: &wire.SessionID{ConnectionID: wire.Text(c.id), Value: 1}})
	c.ask(&wire.ProducerInfo{ProducerID: c.producer()})
	return c
}

func TestOnlyUsersConnect(t *testing.T) {
	r := fencedRig(t)
	for _, proof := range [][2]string{{"", ""}, {"owner", ""}, {"owner", "wrong"}, {"admin", "admin"}, {"system", "manager"}, {"guest", "guest"}} {
		r.negotiate(wire.Format{Version: 12}).refused(login("c", proof[0], proof[1]), classSecurity)
	}
}

// readings are the ways in which a client reads what has that name.
func readings(name string) map[string]*wire.ConsumerInfo {
	q, t := queueNamed(name), topicNamed(name)
	return map[string]*wire.ConsumerInfo{
		"queue":               {Destination: q, PrefetchSize: 10},
		"queue by pull":       {Destination: q},
		"queue browser":       {Destination: q, PrefetchSize: 10, Browser: true},
		"exclusive":           {Destination: q, PrefetchSize: 10, Exclusive: true},
		"selector":            {Destination: q, PrefetchSize: 10, Selector: wire.Text("1 = 1")},
		"composite":           {Destination: queueNamed("may.other," + name), PrefetchSize: 10},
		"composite of kinds":  {Destination: queueNamed("may.other,topic://" + name), PrefetchSize: 10},
		"topic":               {Destination: t, PrefetchSize: 10},
		"retroactive":         {Destination: t, PrefetchSize: 10, Retroactive: true},
		"durable":             {Destination: t, PrefetchSize: 10, SubscriptionName: wire.Text("d")},
		"durable to patterns": {Destination: topicNamed(name + ".>"), PrefetchSize: 10, SubscriptionName: wire.Text("d")},
	}
}

func TestMatrixOfReading(t *testing.T) {
	all, cell := fencedRig(t), 0
	for way := range readings("") {
		for fence, allowed := range map[string]bool{"may": true, "not": false} {
			cell++
			name := fmt.Sprintf("%s.x%d", fence, cell)
			t.Run(fmt.Sprintf("%s, allowed %v", way, allowed), func(t *testing.T) {
				r := all.with(t)
				owner, guest := r.connectUser("owner"), r.connectUser("guest")
				owner.ask(owner.text(1, queueNamed(name), "secret"))
				before := r.broker.Stats()
				info := readings(name)[way]
				info.ConsumerID = guest.consumer(1)
				if !allowed {
					guest.refused(info, classSecurity)
				} else {
					guest.ask(info)
				}
				owner.ask(owner.text(2, queueNamed(name), "secret"))
				owner.ask(owner.text(3, topicNamed(name), "secret"))
				if allowed {
					if info.PrefetchSize == 0 {
						guest.ask(&wire.MessagePull{ConsumerID: info.ConsumerID, Destination: info.Destination, Timeout: -1})
					}
					guest.get("secret")
					return
				}
				guest.none()
				after := r.broker.Stats()
				if after.Consumers != before.Consumers || after.Durables != before.Durables || after.Delivered != before.Delivered {
					t.Errorf("a refused consumer changed the broker: %+v, then %+v", before, after)
				}
			})
		}
	}
}

func TestMatrixOfWriting(t *testing.T) {
	inTransaction := func(c *peer, name string) wire.Structure {
		c.ask(&wire.TransactionInfo{TransactionID: c.tx(1), Type: txBegin})
		m := c.text(1, queueNamed(name), "forged")
		m.TransactionID = c.tx(1)
		c.request(m)
		return c.request(&wire.TransactionInfo{TransactionID: c.tx(1), Type: txCommitOnePhase})
	}
	send := func(d func(name string) wire.Destination, persistent bool) func(*peer, string) wire.Structure {
		return func(c *peer, name string) wire.Structure {
			m := c.text(1, d(name), "forged")
			m.Persistent = persistent
			return c.request(m)
		}
	}
	queue := func(name string) wire.Destination { return queueNamed(name) }
	topic := func(name string) wire.Destination { return topicNamed(name) }
	all, cell := fencedRig(t), 0
	for way, do := range map[string]func(c *peer, name string) wire.Structure{
		"queue": send(queue, true), "queue, transient": send(queue, false), "topic": send(topic, true), "topic, transient": send(topic, false),
		"composite":          send(func(name string) wire.Destination { return queueNamed("may.other," + name) }, true),
		"composite of kinds": send(func(name string) wire.Destination { return queueNamed("may.other,topic://" + name) }, true),
		"transaction":        inTransaction,
		"make a queue": func(c *peer, name string) wire.Structure {
			return c.request(&wire.DestinationInfo{
				ConnectionID: &wire.ConnectionID{Value: wire.Text(c.id)}, Destination: queueNamed(name + ".new"), OperationType: 0,
			})
		},
		"make a temporary queue": func(c *peer, _ string) wire.Structure {
			return c.request(&wire.DestinationInfo{
				ConnectionID: &wire.ConnectionID{Value: wire.Text(c.id)}, OperationType: 0,
				Destination: &wire.ActiveMQTempQueue{ActiveMQTempDestination: wire.ActiveMQTempDestination{
					ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text(c.id + ":1")},
				}},
			})
		},
	} {
		for fence, allowed := range map[string]bool{"may": true, "not": false} {
			cell++
			name := fmt.Sprintf("%s.x%d", fence, cell)
			if way == "make a temporary queue" {
				allowed = false // nobody has it
			}
			t.Run(fmt.Sprintf("%s to %s", way, name), func(t *testing.T) {
				r := all.with(t)
				owner, guest := r.connectUser("owner"), r.connectUser("guest")
				owner.consume(1, queueNamed(name), 10)
				owner.consume(2, topicNamed(name), 10)
				before := r.broker.Stats()
				answer := do(guest, name)
				if _, refused := answer.(*wire.ExceptionResponse); refused == allowed {
					t.Errorf("the answer is %s", show(answer))
				}
				owner.ask(owner.text(1, queueNamed(name), "marker"))
				if allowed && way != "make a queue" {
					owner.get("forged")
					return
				}
				owner.get("marker")
				after := r.broker.Stats()
				if _, err := r.broker.Queue(name + ".new"); (err == nil) != allowed {
					t.Errorf("the new queue: %v", err)
				}
				if !allowed && (after.Queues != before.Queues || after.Enqueued != before.Enqueued+1) {
					t.Errorf("a refused operation changed the broker: %+v, then %+v", before, after)
				}
			})
		}
	}
}
