package amqp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

// wire is a client that says exactly what a test wants.
type wire struct {
	t    testing.TB
	conn net.Conn
}

func (r *rig) wire() *wire {
	r.t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(testWait))
	r.t.Cleanup(func() { _ = c.Close() })
	return &wire{r.t, c}
}

func (w *wire) write(b []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

// frame writes one frame.
func (w *wire) frame(kind byte, channel uint16, body ...[]byte) {
	w.t.Helper()
	b := beginFrame(nil, kind, channel)
	for _, p := range body {
		b = append(b, p...)
	}
	w.write(endFrame(b, 0))
}

// say writes a performative on channel 0, with a payload.
func (w *wire) say(p interface{ append([]byte) []byte }, payload ...byte) {
	w.t.Helper()
	w.frame(frameAMQP, 0, p.append(nil), payload)
}

// next reads one frame.
func (w *wire) next() (code uint64, d decoder) {
	w.t.Helper()
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(w.conn, head); err != nil {
		w.t.Fatalf("read: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head)-frameHead)
	if _, err := io.ReadFull(w.conn, body); err != nil {
		w.t.Fatalf("read: %v", err)
	}
	d = newDecoder(body)
	if len(body) == 0 {
		return 0, d
	}
	return d.descriptor(), d
}

// expect reads frames until one of that performative comes, which has to be
// the first that is not a flow.
func (w *wire) expect(code uint64) decoder {
	w.t.Helper()
	for {
		got, d := w.next()
		if got == code {
			return d
		}
		if got != codeFlow && got != 0 {
			w.t.Fatalf("got %s % x, want %s", performativeNames[got], d.b, performativeNames[code])
		}
	}
}

func (w *wire) header(h string) {
	w.t.Helper()
	w.write([]byte(h))
	got := make([]byte, 8)
	if _, err := io.ReadFull(w.conn, got); err != nil || string(got) != h {
		w.t.Fatalf("header %q, %v", got, err)
	}
}

// hello opens a connection and a session.
func (w *wire) hello(o open) *wire {
	w.t.Helper()
	w.header(headerAMQP)
	if o.containerID == "" {
		o.containerID = fmt.Sprint("wire", w.conn.LocalAddr())
	}
	if o.maxFrameSize == 0 {
		o.maxFrameSize = math.MaxUint32
	}
	o.channelMax = 65535
	w.say(&o)
	w.expect(codeOpen)
	w.begin(1000)
	return w
}

func (w *wire) begin(window uint32) {
	w.t.Helper()
	w.say(&begin{incomingWindow: window, outgoingWindow: 1000, handleMax: math.MaxUint32})
	w.expect(codeBegin)
}

func address(s string) message.Value { return message.StringValue(s) }

// producer attaches a link on which the client sends.
func (w *wire) producer(handle uint32, to string) {
	w.t.Helper()
	w.say(&attach{name: fmt.Sprint("out", handle), handle: handle, sndSettleMode: 2, source: &source{}, target: terminus{node: &target{address: address(to)}}})
	w.expect(codeAttach)
}

// consumer attaches a link on which the broker sends, with credit.
func (w *wire) consumer(handle uint32, from string, credit uint32) {
	w.t.Helper()
	w.say(&attach{name: fmt.Sprint("in", handle), handle: handle, role: true, sndSettleMode: 2, source: &source{address: address(from)}, target: terminus{node: &target{}}})
	w.expect(codeAttach)
	if credit > 0 {
		w.credit(handle, 0, credit, 0, false)
	}
}

func (w *wire) credit(handle, count, credit, seen uint32, drain bool) {
	w.t.Helper()
	w.say(&flow{
		nextIncomingID: some(seen), incomingWindow: 1000, nextOutgoingID: 0, outgoingWindow: 1000,
		handle: some(handle), deliveryCount: some(count), linkCredit: some(credit), drain: drain,
	})
}

// body is a message with one data section.
func body(text string) []byte {
	return appendBinary([]byte{fmtDescribed, fmtSmallUlong, codeData}, []byte(text))
}

func durableBody(text string) []byte {
	h := header{durable: true, priority: 4}
	return append(h.append(nil), body(text)...)
}

func (w *wire) transfer(handle, id uint32, payload []byte) {
	w.t.Helper()
	w.say(&transfer{handle: handle, deliveryID: some(id), deliveryTag: []byte{byte(id)}, messageFormat: some(uint32(0))}, payload...)
}

func (w *wire) outcome() disposition {
	w.t.Helper()
	d := w.expect(codeDisposition)
	var f disposition
	f.decode(&d)
	if d.err != nil {
		w.t.Fatal(d.err)
	}
	return f
}

func (w *wire) delivery() (transfer, []byte) {
	w.t.Helper()
	d := w.expect(codeTransfer)
	var f transfer
	f.decode(&d)
	if d.err != nil {
		w.t.Fatal(d.err)
	}
	return f, d.b
}

// ends reads the error with which a performative ends something.
func (w *wire) ends(code uint64) condition {
	w.t.Helper()
	d := w.expect(code)
	var c *condition
	switch code {
	case codeClosing:
		var f closing
		f.decode(&d)
		c = f.error
	case codeEnd:
		var f end
		f.decode(&d)
		c = f.error
	case codeDetach:
		var f detach
		f.decode(&d)
		c = f.error
	}
	if d.err != nil || c == nil {
		w.t.Fatalf("%s without error (%v)", performativeNames[code], d.err)
	}
	return *c
}

func (w *wire) isClosed() {
	w.t.Helper()
	if n, err := io.Copy(io.Discard, w.conn); err != nil || n > 0 {
		w.t.Errorf("%d bytes and %v instead of the end", n, err)
	}
}

func TestBadInputIsAnsweredWithTheSpecificationsConditions(t *testing.T) {
	r := newRig(t, protocols.Values{optLinks: "16", optSessions: "4", optMessage: "64k"})
	for name, test := range map[string]struct {
		do   func(w *wire)
		ends uint64
		want string
	}{
		"a frame longer than agreed on": {func(w *wire) { w.write([]byte{0, 255, 255, 255, 2, 0, 0, 0}) }, codeClosing, errFraming},
		"a frame shorter than its head": {func(w *wire) { w.write([]byte{0, 0, 0, 7, 2, 0, 0, 0}) }, codeClosing, errFraming},
		"a data offset in the head":     {func(w *wire) { w.write([]byte{0, 0, 0, 8, 1, 0, 0, 0}) }, codeClosing, errFraming},
		"a data offset behind the end":  {func(w *wire) { w.write([]byte{0, 0, 0, 8, 3, 0, 0, 0}) }, codeClosing, errFraming},
		"a frame of an unknown type":    {func(w *wire) { w.write([]byte{0, 0, 0, 8, 2, 7, 0, 0}) }, codeClosing, errFraming},
		"a SASL frame after open":       {func(w *wire) { w.frame(frameSASL, 0, (&saslInit{mechanism: "PLAIN"}).append(nil)) }, codeClosing, errFraming},
		"no performative":               {func(w *wire) { w.frame(frameAMQP, 0, []byte{0x40}) }, codeClosing, errDecode},
		"an unknown performative":       {func(w *wire) { w.frame(frameAMQP, 0, []byte{0, 0x53, 0x99, 0x45}) }, codeClosing, errNotImplemented},
		"a performative cut off":        {func(w *wire) { w.frame(frameAMQP, 0, []byte{0, 0x53, codeAttach, 0xc0, 9}) }, codeClosing, errDecode},
		"a mandatory field missing":     {func(w *wire) { w.frame(frameAMQP, 0, []byte{0, 0x53, codeAttach, 0x45}) }, codeClosing, errDecode},
		"a field of the wrong type":     {func(w *wire) { w.frame(frameAMQP, 0, []byte{0, 0x53, codeTransfer, 0xc0, 2, 1, 0x41}) }, codeClosing, errDecode},
		"more fields than there are":    {func(w *wire) { w.frame(frameAMQP, 0, []byte{0, 0x53, codeEnd, 0xc0, 3, 2, 0x40, 0x40}) }, codeClosing, errDecode},
		"a second open":                 {func(w *wire) { w.say(&open{containerID: "x"}) }, codeClosing, errIllegalState},
		"a session that is not begun": {
			func(w *wire) { w.frame(frameAMQP, 3, (&end{}).append(nil)) }, codeClosing, errIllegalState,
		},
		"a session that is begun twice": {func(w *wire) { w.say(&begin{}) }, codeClosing, errIllegalState},
		"a channel above the limit":     {func(w *wire) { w.frame(frameAMQP, 4, (&begin{}).append(nil)) }, codeClosing, errFraming},
		"a handle above the limit": {
			func(w *wire) { w.say(&attach{name: "x", handle: 16}) }, codeClosing, errFraming,
		},
		"a handle in use": {func(w *wire) {
			w.producer(0, "a")
			w.say(&attach{name: "x", handle: 0, target: terminus{node: &target{}}})
		}, codeEnd, errHandle},
		"a transfer on no link":    {func(w *wire) { w.transfer(5, 0, body("x")) }, codeEnd, errUnattached},
		"a flow for no link":       {func(w *wire) { w.credit(5, 0, 1, 0, false) }, codeEnd, errUnattached},
		"a detach of no link":      {func(w *wire) { w.say(&detach{handle: 5}) }, codeEnd, errUnattached},
		"a transfer to a consumer": {func(w *wire) { w.consumer(0, "a", 0); w.transfer(0, 0, body("x")) }, codeEnd, errNotAllowed},
		"a delivery without id":    {func(w *wire) { w.producer(0, "a"); w.say(&transfer{handle: 0}) }, codeEnd, errInvalidField},
		"a tag that is too long": {func(w *wire) {
			w.producer(0, "a")
			w.say(&transfer{deliveryID: some(uint32(0)), deliveryTag: make([]byte, 33)})
		}, codeEnd, errInvalidField},
		"dispositions that go back": {func(w *wire) { w.say(&disposition{role: true, first: 5, last: some(uint32(4))}) }, codeEnd, errInvalidField},
		"a delivery within another one": {func(w *wire) {
			w.producer(0, "a")
			w.say(&transfer{deliveryID: some(uint32(0)), deliveryTag: []byte("a"), more: true}, body("x")...)
			w.transfer(0, 1, body("y"))
		}, codeEnd, errNotAllowed},
		"a message that is too large": {func(w *wire) {
			w.producer(0, "a")
			for range 2 {
				w.say(&transfer{deliveryID: some(uint32(0)), deliveryTag: []byte("a"), more: true}, make([]byte, 40<<10)...)
			}
		}, codeDetach, errMessageSize},
		"incomplete messages on many links": {func(w *wire) {
			for i := range uint32(2) {
				w.producer(i, "a")
			}
			for i := range uint32(2) {
				w.say(&transfer{handle: i, deliveryID: some(i), deliveryTag: []byte("a"), more: true}, make([]byte, 40<<10)...)
			}
		}, codeDetach, errLimit},
		"a settled message that is none": {func(w *wire) {
			w.producer(0, "a")
			w.say(&transfer{deliveryID: some(uint32(0)), deliveryTag: []byte("a"), settled: some(true)}, 1, 2, 3)
		}, codeDetach, errDecode},
		"an unknown transaction": {func(w *wire) {
			w.producer(0, "a")
			w.say(&transfer{deliveryID: some(uint32(0)), deliveryTag: []byte("a"), state: state{transactional: true, txn: []byte("?")}}, body("x")...)
		}, codeDetach, errUnknownTxn},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.wire().hello(open{})
			w.t = t
			test.do(w)
			if c := w.ends(test.ends); c.condition != test.want || c.description == "" {
				t.Errorf("ends with %s: %s; want %s", c.condition, c.description, test.want)
			} else {
				t.Log(c.description)
			}
			if test.ends == codeClosing {
				w.isClosed()
			}
		})
	}
}

func TestRefusedAttachesHaveConditions(t *testing.T) {
	r := newRig(t, nil)
	for name, test := range map[string]struct {
		a    attach
		want string
	}{
		"no address":               {attach{role: true, source: &source{}}, errInvalidField},
		"no such subscription":     {attach{role: true}, errNotFound},
		"a wildcard to send to":    {attach{target: terminus{node: &target{address: address("topic://a.>")}}}, errInvalidField},
		"an unknown option":        {attach{role: true, source: &source{address: address("a?consumer.sizes=1")}}, errInvalidField},
		"a selector without sense": {attach{role: true, source: &source{address: address("a"), filter: filterSet("= 1", false)}}, errInvalidField},
		"no such temporary queue":  {attach{role: true, source: &source{address: address("temp-queue://ID:x")}}, errNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.wire().hello(open{})
			w.t = t
			test.a.name = name
			w.say(&test.a)
			d := w.expect(codeAttach)
			var a attach
			a.decode(&d)
			if test.a.role && a.source != nil || !test.a.role && !a.target.isNull() {
				t.Errorf("a refused link has source %v, target %v", a.source, a.target)
			}
			if c := w.ends(codeDetach); c.condition != test.want {
				t.Errorf("%s: %s", c.condition, c.description)
			}
			// The handle is free when both sides have detached.
			w.say(&detach{closed: true})
			w.producer(0, "a")
		})
	}
}

// A client that takes small frames only has to get the first one whole.
func TestOpenFitsTheSmallestFrame(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire()
	w.header(headerAMQP)
	w.say(&open{containerID: "c", maxFrameSize: minFrame})
	if _, d := w.next(); len(d.b)+frameHead > minFrame {
		t.Errorf("open has %d bytes", len(d.b))
	}
}

func TestProtocolHeaders(t *testing.T) {
	r := newRig(t, protocols.Values{optPlain: "false"})
	for _, said := range []string{headerAMQP, "AMQP\x00\x00\x09\x01", headerTLS, "HTTP/1.1"} {
		w := r.wire()
		w.write([]byte(said))
		got, err := io.ReadAll(w.conn)
		if err != nil || string(got) != headerSASL {
			t.Errorf("%q is answered with %q, %v", said, got, err)
		}
	}
}

func TestSASLMechanisms(t *testing.T) {
	r := newRig(t, nil)
	for _, test := range []struct {
		init saslInit
		want uint8
	}{
		{saslInit{mechanism: "ANONYMOUS"}, saslOK},
		{saslInit{mechanism: "PLAIN", initialResponse: []byte("\x00user\x00secret")}, saslOK},
		{saslInit{mechanism: "PLAIN", initialResponse: []byte("user\x00secret")}, saslOK},
		{saslInit{mechanism: "PLAIN"}, saslOK},
		{saslInit{mechanism: "PLAIN", initialResponse: []byte("nonsense")}, saslAuth},
		{saslInit{mechanism: "EXTERNAL"}, saslAuth},
		{saslInit{mechanism: "CRAM-MD5"}, saslAuth},
	} {
		w := r.wire()
		w.header(headerSASL)
		if code, _ := w.next(); code != codeSaslMechanisms {
			t.Fatalf("descriptor %#x", code)
		}
		w.frame(frameSASL, 0, test.init.append(nil))
		code, d := w.next()
		var o saslOutcome
		o.decode(&d)
		if code != codeSaslOutcome || d.err != nil || o.code != test.want {
			t.Errorf("%s %q: %d, want %d (%v)", test.init.mechanism, test.init.initialResponse, o.code, test.want, d.err)
		}
		if test.want == saslOK {
			w.hello(open{})
		} else {
			w.isClosed()
		}
	}
}

func TestDeliveriesWaitForTheClientsWindow(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire()
	w.header(headerAMQP)
	w.say(&open{containerID: "c", maxFrameSize: 512, channelMax: 1})
	w.expect(codeOpen)
	w.begin(2) // frames
	w.producer(0, "a")
	large := string(bytes.Repeat([]byte("x"), 1500))
	w.transfer(0, 0, body("small"))
	w.outcome()
	w.transfer(0, 1, body(large))
	w.outcome()
	w.say(&attach{name: "in", handle: 1, role: true, source: &source{address: address("a")}, target: terminus{node: &target{}}})
	w.expect(codeAttach)
	flowFrame := flow{nextIncomingID: some(uint32(0)), incomingWindow: 2, handle: some(uint32(1)), deliveryCount: some(uint32(0)), linkCredit: some(uint32(10))}
	w.say(&flowFrame)
	if f, b := w.delivery(); f.more || !bytes.HasSuffix(b, body("small")) {
		t.Fatalf("first delivery %+v % x", f, b)
	}
	var whole []byte
	for frames := uint32(2); ; frames++ {
		f, b := w.delivery()
		whole = append(whole, b...)
		if !f.more {
			break
		}
		// Nothing comes until there is room, frame by frame.
		_ = w.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, _ := w.conn.Read(make([]byte, 1)); n > 0 {
			t.Fatal("a frame came that there was no room for")
		}
		_ = w.conn.SetReadDeadline(time.Now().Add(testWait))
		w.say(&flow{nextIncomingID: some(frames), incomingWindow: 1})
	}
	if !bytes.HasSuffix(whole, body(large)) {
		t.Fatalf("%d bytes came", len(whole))
	}
}

func TestLinkThatIsAttachedAgainIsStolen(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire().hello(open{})
	w.producer(0, "a")
	w.say(&attach{name: "out0", handle: 1, target: terminus{node: &target{address: address("b")}}})
	d := w.expect(codeDetach)
	var f detach
	f.decode(&d)
	if f.handle != 0 || f.error == nil || f.error.condition != errStolen {
		t.Fatalf("%+v", f)
	}
	w.expect(codeAttach)
	w.transfer(1, 0, body("x"))
	if o := w.outcome(); o.state.kind != stateAccepted {
		t.Errorf("%+v", o)
	}
}

func TestAbortedDeliveriesAreForgotten(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire().hello(open{})
	w.producer(0, "a")
	w.say(&transfer{deliveryID: some(uint32(0)), deliveryTag: []byte("a"), more: true}, body("x")...)
	w.say(&transfer{aborted: true})
	w.transfer(0, 1, body("y"))
	if o := w.outcome(); o.first != 1 || o.state.kind != stateAccepted {
		t.Errorf("%+v", o)
	}
	if q, err := r.broker.Queue("a"); err != nil || q.Messages != 1 {
		t.Errorf("%d messages, %v", q.Messages, err)
	}
}

func TestSilentClientsAreClosed(t *testing.T) {
	r := newRig(t, protocols.Values{optIdle: "100"})
	w := r.wire().hello(open{idleTimeOut: some(uint32(200))})
	start := time.Now()
	if c := w.ends(codeClosing); c.condition != errLimit {
		t.Errorf("%+v", c)
	}
	if took := time.Since(start); took < 190*time.Millisecond {
		t.Errorf("closed after %v", took)
	}
	w.isClosed()
}
