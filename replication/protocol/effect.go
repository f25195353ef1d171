package protocol

import "github.com/entrepot-mq/entrepot/election"

// Effect is what a Node asks its owner to do. Effects are carried out in order.
type Effect interface{ effect() }

type (
	// Send hands a message to the network, which may lose it.
	Send struct{ Message *Message }
	// Committed says that everything up to Index may be applied, and what waits for it confirmed.
	Committed struct{ Index uint64 }
	// Campaign asks for a lease and the transaction of that name; Campaigned reports what became of it.
	Campaign struct {
		At     election.Revision
		Epoch  uint64
		Config election.Configuration
	}
	// Read asks for the present state of the configuration's store; Seen reports it.
	Read struct{}
	// Change asks for the transaction of that name; Changed reports what became of it.
	Change struct {
		Lock, At election.Revision
		Config   election.Configuration
	}
	// Resign revokes the lease, if there is one.
	Resign struct{}
	// Lead says that the node's log is the owner's to write now, in Epoch. It appends the barrier first: Led.
	Lead struct{ Epoch uint64 }
	// Serve says that the barrier, and with it all that was inherited, is committed: clients may come.
	Serve struct{ Epoch, Barrier uint64 }
	// Retire ends a node that led, or was about to: nothing it does counts any more. Its owner opens the store again
	// and makes a new Node, which campaigns no earlier than Pause from now.
	Retire struct {
		Reason string
		Pause  bool
	}
	// Drain has the owner hold back new records until Retire, or Resume: a hand-over is under way.
	Drain struct{}
	// Resume ends a Drain that came to nothing.
	Resume struct{}
	// Snapshot asks to send To the state, for it needs records that the log has no more; SnapshotEnded reports.
	Snapshot struct{ To election.Member }
	// Failed ends a node whose log or disk failed, or holds what it must not: the store can't be used as it is.
	Failed struct{ Err error }
	// Distrusted ends a node whose log contradicts the group's: what it has must be set aside and rebuilt from a peer, as
	// another incarnation.
	Distrusted struct{ Reason string }
)

func (Send) effect()       {}
func (Committed) effect()  {}
func (Campaign) effect()   {}
func (Read) effect()       {}
func (Change) effect()     {}
func (Resign) effect()     {}
func (Lead) effect()       {}
func (Serve) effect()      {}
func (Retire) effect()     {}
func (Drain) effect()      {}
func (Resume) effect()     {}
func (Snapshot) effect()   {}
func (Failed) effect()     {}
func (Distrusted) effect() {}
