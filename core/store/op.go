package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/entrepot-mq/entrepot/core/message"
)

// OpKind says what an Op changes. The numbers are part of the log's format.
type OpKind uint8

// The kinds.
const (
	// OpPublish stores Msg in the queue that its destination names, or in
	// every durable subscription whose filter selects it.
	OpPublish OpKind = iota + 1
	// OpAck removes position Pos and the N behind it from queue Queue.
	OpAck
	// OpAttempt sets the number of failed deliveries of Pos in Queue to N and
	// makes the message available again.
	OpAttempt
	// OpCreate makes the queue named in Data.
	OpCreate
	// OpDelete removes queue Queue with all that is in it.
	OpDelete
	// OpSubscribe makes or changes the durable subscription described in Data.
	OpSubscribe
	// OpUnsubscribe removes durable subscription Queue.
	OpUnsubscribe
	// OpTransient passes a message through the batch in order, without
	// logging it: for a non-persistent message behind persistent ones of the
	// same session.
	OpTransient
	// OpState is for part N of the machine: Data says what changes there.
	OpState
	// OpBarrier begins a group leader's epoch. It changes nothing.
	OpBarrier
)

var opNames = [...]string{
	OpPublish: "publish", OpAck: "ack", OpAttempt: "attempt", OpCreate: "create", OpDelete: "delete",
	OpSubscribe: "subscribe", OpUnsubscribe: "unsubscribe", OpTransient: "transient", OpState: "state",
	OpBarrier: "barrier",
}

// String returns the kind's name as `entrepot store dump` shows it.
func (k OpKind) String() string {
	if k == 0 || int(k) >= len(opNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return opNames[k]
}

// Op is one change of state. Only the fields that its kind names are used.
type Op struct {
	Kind  OpKind
	N     uint32
	Queue uint64
	Pos   uint64
	Msg   *message.Message
	Data  []byte
}

// logged reports whether the op is part of the log.
func (o *Op) logged() bool { return o.Kind != 0 && o.Kind != OpTransient }

// smallState is how many bytes of an OpState may be written to a full disk: it
// could be what makes room.
const smallState = 256

// storesMessage reports whether the op needs room on a full disk that is kept
// for what consumes messages.
func (o *Op) storesMessage() bool {
	switch o.Kind {
	case OpPublish, OpSubscribe:
		return true
	case OpState:
		return len(o.Data) > smallState
	case OpAck, OpAttempt, OpCreate, OpDelete, OpUnsubscribe, OpTransient, OpBarrier:
	}
	return false
}

// size counts the op for flow control, in bytes.
func (o *Op) size() int64 {
	n := int64(len(o.Data))
	if o.Msg != nil {
		n += int64(o.Msg.Size())
	}
	return n
}

// ErrOp is wrapped by every error of DecodeOps.
var ErrOp = errors.New("malformed record")

// appendHead appends what stands before a publish's message bytes, or the
// whole of any other op.
//
// Format of a record: its ops one after another. An op is its kind (one
// byte), then for publish: uvarint length and the message's raw bytes; ack
// and attempt: uvarint queue, position and N; delete, unsubscribe: uvarint
// queue; create, subscribe, barrier: uvarint length and data; state: uvarint N, uvarint
// length and data.
func (o *Op) appendHead(b []byte) []byte {
	b = append(b, byte(o.Kind))
	switch o.Kind {
	case OpPublish:
		b = binary.AppendUvarint(b, uint64(len(o.Msg.Raw())))
	case OpAck, OpAttempt:
		b = binary.AppendUvarint(b, o.Queue)
		b = binary.AppendUvarint(b, o.Pos)
		b = binary.AppendUvarint(b, uint64(o.N))
	case OpDelete, OpUnsubscribe:
		b = binary.AppendUvarint(b, o.Queue)
	case OpCreate, OpSubscribe:
		b = binary.AppendUvarint(b, uint64(len(o.Data)))
		b = append(b, o.Data...)
	case OpState:
		b = binary.AppendUvarint(b, uint64(o.N))
		b = binary.AppendUvarint(b, uint64(len(o.Data)))
		b = append(b, o.Data...)
	case OpBarrier:
		b = binary.AppendUvarint(b, uint64(len(o.Data)))
		b = append(b, o.Data...)
	case OpTransient:
		panic("store: a transient op is never encoded")
	}
	return b
}

// AppendOps appends the record of ops.
func AppendOps(b []byte, ops []Op) []byte {
	for i := range ops {
		if !ops[i].logged() {
			continue
		}
		b = ops[i].appendHead(b)
		if ops[i].Kind == OpPublish {
			b = append(b, ops[i].Msg.Raw()...)
		}
	}
	return b
}

// DecodeOps reads a record. It appends to ops. Messages and data point into
// rec, which the caller must not change afterwards.
func DecodeOps(ops []Op, rec []byte) ([]Op, error) {
	if len(rec) == 0 {
		return ops, fmt.Errorf("%w: empty", ErrOp)
	}
	r := opReader{b: rec}
	for len(r.b) > 0 {
		op, err := r.next()
		if err != nil {
			return ops, fmt.Errorf("%w at byte %d: %w", ErrOp, len(rec)-len(r.b), err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

var errShort = errors.New("ends too early, or holds an impossible number")

type opReader struct {
	b      []byte // what is left
	failed bool
}

func (r *opReader) next() (Op, error) {
	op := Op{Kind: OpKind(r.b[0])}
	r.b = r.b[1:]
	switch op.Kind {
	case OpPublish:
		raw := r.bytes()
		if r.failed {
			return op, errShort
		}
		m, err := message.Decode(raw)
		if err != nil {
			return op, err
		}
		op.Msg = m
	case OpAck, OpAttempt:
		op.Queue, op.Pos, op.N = r.uvarint(), r.uvarint(), r.uint32()
	case OpDelete, OpUnsubscribe:
		op.Queue = r.uvarint()
	case OpCreate, OpSubscribe, OpBarrier:
		op.Data = r.bytes()
	case OpState:
		op.N, op.Data = r.uint32(), r.bytes()
	case OpTransient:
		return op, errors.New("a transient op in the log")
	default:
		return op, fmt.Errorf("unknown kind %d: written by a newer version?", op.Kind)
	}
	if r.failed {
		return op, errShort
	}
	return op, nil
}

// uvarint takes the shortest encoding only: a record has one form.
func (r *opReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.failed = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *opReader) uint32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.failed = true
	}
	return uint32(v)
}

func (r *opReader) bytes() []byte {
	n := r.uvarint()
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}
