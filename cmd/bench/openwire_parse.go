package bench

import (
	"encoding/binary"
	"errors"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

var errOpenWire = errors.New("OpenWire: a frame can't be read")

// next parses one frame in place.
func (k *openwireCodec) next(buf []byte, e *event) (int, error) {
	*e = event{}
	if len(buf) < 5 {
		return 0, nil
	}
	n := binary.BigEndian.Uint32(buf)
	if n == 0 || n > 1<<30 {
		return 0, errOpenWire
	}
	size := 4 + int(n)
	if size > len(buf) {
		return 0, nil
	}
	frame := buf[4:size]
	switch wire.Type(frame[0]) {
	case wire.TypeMessageDispatch:
		return size, k.delivery(frame, e)
	case wire.TypeResponse:
		if len(frame) < 10 {
			return 0, errOpenWire
		}
		id := binary.BigEndian.Uint32(frame[6:])
		e.kind = eventReply
		if id < openwireSetup {
			e.kind, e.numbered, e.id = eventConfirm, true, uint16(id)
		}
	case wire.TypeExceptionResponse, wire.TypeConnectionError:
		e.kind, e.body = eventRefusal, openwireWords(frame)
	}
	return size, nil
}

// openwireWords returns what an exception says.
func openwireWords(frame []byte) []byte {
	s, err := wire.NewDecoder(wire.Format{Version: wire.MaxVersion}).Decode(frame)
	if err != nil {
		return []byte(err.Error())
	}
	var t *wire.Throwable
	switch x := s.(type) {
	case *wire.ExceptionResponse:
		t = x.Exception
	case *wire.ConnectionError:
		t = x.Exception
	}
	if t == nil {
		return []byte("an exception without a text")
	}
	return []byte(t.Text.String())
}

// delivery finds the id and the body of a dispatched message.
func (k *openwireCodec) delivery(frame []byte, e *event) error {
	w := walk{rest: frame[1:], ok: true}
	w.skip(4 + 1) // command id, response required
	w.id()        // consumer
	w.destination()
	if !w.flag() {
		return nil // no message: the end of what a browser sees
	}
	w.skip(1 + 4 + 1) // type, command id, response required
	w.id()            // producer
	w.destination()
	if w.flag() { // transaction
		return errOpenWire
	}
	w.destination() // the original one
	at := len(frame) - len(w.rest)
	w.messageID()
	e.ack = frame[at : len(frame)-len(w.rest)]
	if w.flag() { // original transaction
		return errOpenWire
	}
	w.text() // group
	w.skip(4)
	w.text()          // correlation id
	w.skip(1 + 8 + 1) // persistent, expiration, priority
	w.destination()   // to answer to
	w.skip(8)         // timestamp
	w.text()          // type
	if !w.flag() || len(w.rest) < 4 {
		return errOpenWire
	}
	n := binary.BigEndian.Uint32(w.rest)
	w.skip(4)
	if !w.ok || uint64(n) > uint64(len(w.rest)) {
		return errOpenWire
	}
	e.kind, e.body = eventDelivery, w.rest[:n]
	k.received++
	k.last = append(k.last[:0], e.ack...)
	return nil
}

// walk goes over the fields of a loose frame.
type walk struct {
	rest []byte
	ok   bool
}

func (w *walk) skip(n int) {
	if n < 0 || n > len(w.rest) {
		w.ok, w.rest = false, nil
		return
	}
	w.rest = w.rest[n:]
}

func (w *walk) flag() bool {
	if len(w.rest) == 0 {
		w.ok = false
		return false
	}
	on := w.rest[0] != 0
	w.rest = w.rest[1:]
	return on
}

func (w *walk) text() {
	if w.flag() {
		if len(w.rest) < 2 {
			w.ok = false
			return
		}
		w.skip(2 + int(binary.BigEndian.Uint16(w.rest)))
	}
}

// id goes over the id of a consumer or a producer: a text and two numbers.
func (w *walk) id() {
	if w.flag() {
		w.skip(1)
		w.text()
		w.skip(8 + 8)
	}
}

func (w *walk) destination() {
	if w.flag() {
		w.skip(1)
		w.text()
	}
}

func (w *walk) messageID() {
	if w.flag() {
		w.skip(1)
		w.text()
		w.id()
		w.skip(8 + 8)
	}
}
