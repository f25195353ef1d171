package amqp

import (
	"bytes"
	"testing"

	"github.com/entrepot-mq/entrepot/protocols"
)

// coordinator attaches a coordinator's link at handle 9.
func (w *wire) coordinator() {
	w.t.Helper()
	w.say(&attach{name: "txn", handle: 9, source: &source{}, target: terminus{coordinator: &coordinator{}}})
	w.expect(codeAttach)
}

func sectionOf(code byte, p interface{ append([]byte) []byte }) []byte {
	return p.append([]byte{fmtDescribed, fmtSmallUlong, code})
}

func (w *wire) declare(id uint32) (txn []byte) {
	w.t.Helper()
	w.transfer(9, id, sectionOf(codeValue, &declare{}))
	o := w.outcome()
	if o.state.kind != stateDeclared || !o.settled || o.first != id {
		w.t.Fatalf("declare: %+v", o)
	}
	return bytes.Clone(o.state.txn)
}

func (w *wire) discharge(id uint32, txn []byte, fail bool) state {
	w.t.Helper()
	w.transfer(9, id, sectionOf(codeValue, &discharge{txnID: txn, fail: fail}))
	for {
		if o := w.outcome(); o.role && o.first == id {
			return o.state
		}
	}
}

func (w *wire) sendIn(txn []byte, handle, id uint32, text string) state {
	w.t.Helper()
	w.say(&transfer{
		handle: handle, deliveryID: some(id), deliveryTag: []byte{byte(id)}, state: state{transactional: true, txn: txn},
	}, durableBody(text)...)
	return w.outcome().state
}

func messages(t *testing.T, r *rig, queue string) int {
	t.Helper()
	q, err := r.broker.Queue(queue)
	if err != nil {
		return 0
	}
	return q.Messages
}

func TestTransactionsPublishAllOrNothing(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire().hello(open{})
	w.coordinator()
	w.producer(0, "a")
	one, two := w.declare(0), w.declare(1)
	for i, txn := range [][]byte{one, two, one} {
		if st := w.sendIn(txn, 0, uint32(2+i), "x"); st.kind != stateAccepted || !st.transactional || !bytes.Equal(st.txn, txn) {
			t.Fatalf("%+v", st)
		}
	}
	if n := messages(t, r, "a"); n != 0 {
		t.Fatalf("%d messages before the commit", n)
	}
	if st := w.discharge(10, two, true); st.kind != stateAccepted {
		t.Fatalf("rollback: %+v", st)
	}
	if st := w.discharge(11, one, false); st.kind != stateAccepted {
		t.Fatalf("commit: %+v", st)
	}
	if n := messages(t, r, "a"); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	if st := w.discharge(12, one, false); st.kind != stateRejected || st.err.condition != errUnknownTxn {
		t.Errorf("a second commit: %+v", st)
	}
}

func TestTransactionWithARefusedPartIsRolledBack(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire().hello(open{})
	w.coordinator()
	w.producer(0, "a")
	txn := w.declare(0)
	w.sendIn(txn, 0, 1, "x")
	w.say(&transfer{deliveryID: some(uint32(2)), deliveryTag: []byte{2}, state: state{transactional: true, txn: txn}}, 1, 2, 3)
	if o := w.outcome(); o.state.kind != stateRejected || o.state.err.condition != errDecode {
		t.Fatalf("%+v", o.state)
	}
	if st := w.discharge(3, txn, false); st.kind != stateRejected || st.err.condition != errRollback {
		t.Fatalf("commit: %+v", st)
	}
	if n := messages(t, r, "a"); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestTransactionsEndWithTheirCoordinator(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire().hello(open{})
	w.coordinator()
	w.producer(0, "a")
	txn := w.declare(0)
	w.sendIn(txn, 0, 1, "x")
	w.say(&detach{handle: 9, closed: true})
	w.expect(codeDetach)
	w.say(&transfer{deliveryID: some(uint32(2)), deliveryTag: []byte{2}, state: state{transactional: true, txn: txn}}, body("y")...)
	if c := w.ends(codeDetach); c.condition != errUnknownTxn {
		t.Errorf("%+v", c)
	}
}

func TestTransactionsAreLimited(t *testing.T) {
	r := newRig(t, protocols.Values{optTransactions: "1", optTxMessages: "1"})
	w := r.wire().hello(open{})
	w.coordinator()
	w.producer(0, "a")
	txn := w.declare(0)
	w.transfer(9, 1, sectionOf(codeValue, &declare{}))
	if o := w.outcome(); o.state.kind != stateRejected || o.state.err.condition != errLimit {
		t.Errorf("a second transaction: %+v", o.state)
	}
	w.sendIn(txn, 0, 2, "x")
	if st := w.sendIn(txn, 0, 3, "y"); st.kind != stateRejected || st.err.condition != errLimit {
		t.Errorf("a second message: %+v", st)
	}
}

// accepts acknowledges a delivery in a transaction.
func (w *wire) acceptIn(txn []byte, id uint32, settled bool) {
	w.t.Helper()
	w.say(&disposition{role: true, first: id, settled: settled, state: state{transactional: true, txn: txn, kind: stateAccepted}})
}

func TestTransactionalAcknowledgements(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire().hello(open{})
	w.coordinator()
	w.producer(0, "a")
	for i := range uint32(3) {
		w.transfer(0, i, durableBody("x"))
		w.outcome()
	}
	w.consumer(1, "a", 3)
	for range 3 {
		w.delivery()
	}
	txn := w.declare(3)
	w.acceptIn(txn, 0, true)
	w.acceptIn(txn, 1, false)
	if st := w.discharge(4, txn, true); st.kind != stateAccepted {
		t.Fatalf("%+v", st)
	}
	// The settled one is delivered again, the other one is still the client's.
	w.credit(1, 3, 5, 3, false)
	f, payload := w.delivery()
	h := headerOf(t, payload)
	if f.deliveryID.value != 3 || h.deliveryCount != 1 {
		t.Fatalf("after the rollback delivery %d came, count %d", f.deliveryID.value, h.deliveryCount)
	}
	txn = w.declare(5)
	w.acceptIn(txn, 1, false)
	w.acceptIn(txn, 2, true)
	w.acceptIn(txn, 3, true)
	w.transfer(9, 6, sectionOf(codeValue, &discharge{txnID: txn}))
	settled := map[bool]disposition{}
	for range 2 {
		o := w.outcome()
		settled[o.role] = o
	}
	if o := settled[false]; o.first != 1 || !o.settled || o.state.kind != stateAccepted {
		t.Errorf("the delivery that the client left to the commit: %+v", o)
	}
	if o := settled[true]; o.first != 6 || o.state.kind != stateAccepted {
		t.Errorf("commit: %+v", o)
	}
	if n := messages(t, r, "a"); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func headerOf(t *testing.T, payload []byte) (h header) {
	t.Helper()
	d := newDecoder(payload)
	s, ok := d.nextSection()
	if !ok || s.code != codeHeader {
		t.Fatalf("no header in % x", payload)
	}
	inner := newDecoder(s.content)
	h.decode(&inner)
	return h
}
