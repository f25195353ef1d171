package broker

import (
	"errors"

	"github.com/entrepot-mq/entrepot/core/store"
)

// role is what a broker is in its group; a broker on its own leads from the start.
type role struct {
	leads bool // guarded by Broker.mu
	why   error
}

// Store gives a group's replication access to the broker's store.
func (b *Broker) Store() *store.Store { return b.store }

// begin starts what serves clients, or what follows the group's master.
func (b *Broker) begin() error {
	b.loader.start()
	b.upkeep.start()
	b.slowness.start()
	b.recovery.start()
	if b.o.Store.Group {
		b.store.Follow()
		return nil
	}
	b.store.Start()
	return b.serve()
}

// Lead makes a follower the master: it serves clients from now on, and its timers run. The store
// serves requests already. What is due since a while (schedules, delayed messages) happens now.
func (b *Broker) Lead() error { return b.serve() }

func (b *Broker) serve() error {
	b.mu.Lock()
	b.role.leads = true
	b.mu.Unlock()
	b.upkeep.lead()
	b.collector.start()
	b.schedules.start()
	b.delays.start()
	b.stored.start()
	return errors.Join(b.virtuals.establish(), b.establish())
}

// Leads reports whether the broker serves clients: it is the group's master, or on its own.
func (b *Broker) Leads() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.role.leads && !b.closing
}

// StepDown ends every session with why, and refuses new ones: the node isn't the master any more. Close comes next.
func (b *Broker) StepDown(why error) {
	b.mu.Lock()
	b.role = role{why: why}
	b.mu.Unlock()
	for _, s := range b.openSessions() {
		s.end(fail(CodeUnavailable, "", "%w", why))
	}
}

// errFollows refuses sessions on a node that doesn't lead.
var errFollows = errors.New("this node is not the group's master: connect to the master, or to a node that passes connections on")

// refused returns why no session can be opened. The caller holds mu.
func (b *Broker) refused() error {
	switch {
	case b.closing:
		return fail(CodeUnavailable, "connect", "the broker is shutting down")
	case b.role.leads:
		return nil
	case b.role.why != nil:
		return fail(CodeUnavailable, "connect", "%w", b.role.why)
	}
	return fail(CodeUnavailable, "connect", "%w", errFollows)
}
