package protocol

import (
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
)

// Kind says what a Message is. The numbers are part of the wire format.
type Kind uint8

// The kinds.
const (
	// Status tells peers, when there is no master, how far the sender is: Last, Commit, Promised, Weight. Reply says that
	// it answers one.
	Status Kind = iota + 1
	// Fence asks for a promise to refuse epochs before Epoch.
	Fence
	// Fenced is that promise; Last is where the sender's log ends.
	Fenced
	// Refused says that the sender has promised Promised, which is later than Epoch.
	Refused
	// Probe is a master's question where the receiver's log parts from its own.
	Probe
	// Probed answers: Last, First, Epochs, Commit. Seq is the probe's.
	Probed
	// Append carries frames that follow Prev and end at End, or none (a heart-beat), and what is committed.
	Append
	// Mismatch says that the receiver's log does not have Prev.
	Mismatch
	// Ack says up to where the sender's log is known to be the master's: in memory, and on disk.
	Ack
	// TakeOver is a master's word that it has just given up its lock in favour of the receiver.
	TakeOver
)

var kindNames = [...]string{
	Status: "status", Fence: "fence", Fenced: "fenced", Refused: "refused", Probe: "probe", Probed: "probed",
	Append: "append", Mismatch: "mismatch", Ack: "ack", TakeOver: "take over",
}

// String returns the kind's name.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Message is what nodes tell each other. Only the fields that its kind names are used, beside From, To and Epoch.
type Message struct {
	Kind     Kind
	Reply    bool
	From     election.Member
	To       string
	Epoch    uint64 // the master's or candidate's that it is about
	Promised uint64
	Seq      uint64
	Prev     log.Position
	End      log.Position
	Last     log.Position
	First    uint64
	Commit   uint64
	Mem      uint64
	Durable  uint64
	Weight   int
	Epochs   []log.EpochStart
	Raw      []byte // frames; not changed by anybody
}
