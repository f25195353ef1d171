package amqp

import "github.com/entrepot-mq/entrepot/core/message"

// stateKind is what a delivery state says (AMQP 1.0, 3.4).
type stateKind uint8

const (
	stateNone stateKind = iota
	stateReceived
	stateAccepted
	stateRejected
	stateReleased
	stateModified
	stateDeclared
	stateUnknown // a described type that isn't AMQP's: acted on by nobody
)

// Descriptors of delivery states that are written and read by hand: they are
// on the way of each message.
const (
	codeReceived      = 0x23
	codeAccepted      = 0x24
	codeRejected      = 0x25
	codeReleased      = 0x26
	codeModified      = 0x27
	codeDeclared      = 0x33
	codeTransactional = 0x34
)

var stateNames = map[string]uint64{
	"amqp:received:list": codeReceived, "amqp:accepted:list": codeAccepted,
	"amqp:rejected:list": codeRejected, "amqp:released:list": codeReleased,
	"amqp:modified:list": codeModified, "amqp:declared:list": codeDeclared,
	"amqp:transactional-state:list": codeTransactional,
}

// state is a delivery state. That of a transaction is flattened: txn is set,
// and the rest is the outcome in it.
type state struct {
	kind          stateKind
	transactional bool
	failed        bool // modified: delivery-failed
	notHere       bool // modified: undeliverable-here
	section       uint32
	offset        uint64        // received
	txn           []byte        // of transactional and declared
	annotations   message.Value // modified
	err           *condition    // rejected
}

// terminal reports whether s is an outcome.
func (s *state) terminal() bool { return s.kind >= stateAccepted && s.kind <= stateModified }

func (f *fields) state() (s state) {
	c, ok := f.next()
	if !ok {
		return s
	}
	if c != fmtDescribed {
		f.wrong(c, "a delivery state")
		return s
	}
	f.stateOf(&s, f.stateCode())
	return s
}

// stateCode reads a descriptor behind its constructor, states included.
func (d *decoder) stateCode() uint64 {
	if len(d.b) > 0 && (d.b[0] == fmtSymbol8 || d.b[0] == fmtSymbol32) {
		return stateNames[alias(d.variable(d.byte()))]
	}
	return d.descriptorCode()
}

func (d *decoder) stateOf(s *state, code uint64) {
	switch code {
	case codeAccepted:
		s.kind = stateAccepted
		d.empty("accepted")
	case codeReleased:
		s.kind = stateReleased
		d.empty("released")
	case codeRejected:
		s.kind = stateRejected
		f := d.fields("rejected")
		s.err = f.condition()
		f.end()
	case codeModified:
		s.kind = stateModified
		f := d.fields("modified")
		s.failed, s.notHere, s.annotations = f.bool(), f.bool(), f.dict()
		f.end()
	case codeReceived:
		s.kind = stateReceived
		f := d.fields("received")
		s.section, s.offset = f.uint(), f.ulongOr(0)
		f.end()
	case codeDeclared:
		s.kind = stateDeclared
		f := d.fields("declared")
		f.need("txn-id")
		s.txn = f.binary()
		f.end()
	case codeTransactional:
		d.transactionalState(s)
	default:
		s.kind = stateUnknown
		d.check()
	}
}

func (d *decoder) transactionalState(s *state) {
	if s.transactional {
		d.failf("transactional-state holds another one")
		return
	}
	f := d.fields("transactional-state")
	f.need("txn-id")
	s.transactional, s.txn = true, f.binary()
	txn := s.txn
	if c, ok := f.next(); ok {
		if c != fmtDescribed {
			f.wrong(c, "an outcome")
		} else {
			f.stateOf(s, f.stateCode())
		}
	}
	s.txn = txn
	f.end()
}

// empty reads the list of a type without fields.
func (d *decoder) empty(name string) {
	f := d.fields(name)
	f.end()
}

func appendState(b []byte, s state) []byte {
	if s.transactional {
		b, l := beginList(b, codeTransactional)
		b = appendBinary(b, s.txn)
		l.present(b, 1)
		if s.kind != stateNone {
			s.transactional = false
			b = appendState(b, s)
			l.present(b, 2)
		}
		return l.finish(b)
	}
	switch s.kind {
	case stateAccepted:
		return append(b, fmtDescribed, fmtSmallUlong, codeAccepted, fmtList0)
	case stateReleased:
		return append(b, fmtDescribed, fmtSmallUlong, codeReleased, fmtList0)
	case stateRejected:
		b, l := beginList(b, codeRejected)
		if s.err != nil {
			b = s.err.append(b)
			l.present(b, 1)
		}
		return l.finish(b)
	case stateModified:
		b, l := beginList(b, codeModified)
		b = appendBool(appendBool(b, s.failed), s.notHere)
		l.present(b, 2)
		if !s.annotations.IsNull() {
			b = appendValue(b, s.annotations)
			l.present(b, 3)
		}
		return l.finish(b)
	case stateReceived:
		b, l := beginList(b, codeReceived)
		b = appendUlong(appendUint(b, s.section), s.offset)
		l.present(b, 2)
		return l.finish(b)
	case stateDeclared:
		b, l := beginList(b, codeDeclared)
		b = appendBinary(b, s.txn)
		l.present(b, 1)
		return l.finish(b)
	case stateNone, stateUnknown:
	}
	return append(b, fmtNull)
}
