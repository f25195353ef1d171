package amqp

import "encoding/binary"

// partial is a delivery that was begun when the client's window closed.
type partial struct {
	id   uint32
	rest []byte
}

// message sends a delivery, or as much as the client's window has room for.
func (w *writer) message(it *outItem) error {
	l := it.link
	s := l.sess
	if len(s.parked) > 0 || !s.hasWindow() {
		s.parked = append(s.parked, *it)
		return nil
	}
	c := w.c
	c.mu.Lock()
	if l.closed || s.closed || c.leaving {
		c.mu.Unlock()
		return nil
	}
	if it.rest != nil {
		c.mu.Unlock()
		return w.frames(it, it.rest.id, nil, it.rest.rest, false)
	}
	settled := l.out.settled
	var id uint32
	if settled {
		id = s.unsettled.skip()
	} else {
		id = s.unsettled.push(delivery{l, it.tag})
	}
	c.mu.Unlock()
	m, err := w.out.render(it.message, it.redeliveries, it.redelivered, w.now)
	if err != nil {
		c.log.Error("message can't be read", "err", err)
	}
	l.deliveryCount.Add(1)
	w.delivered++
	return w.frames(it, id, m.head, m.tail, true)
}

// frames writes a delivery's bytes, or what is left of them.
func (w *writer) frames(it *outItem, id uint32, head, tail []byte, first bool) error {
	l := it.link
	s := l.sess
	most := int(w.c.outFrame)
	for {
		if !first && !s.hasWindow() {
			rest := append(append(make([]byte, 0, len(head)+len(tail)), head...), tail...)
			parked := *it
			parked.rest = &partial{id, rest}
			s.parked = append(s.parked, parked)
			return nil
		}
		start := len(w.buf)
		w.buf = beginFrame(w.buf, frameAMQP, s.channel)
		w.buf = w.appendTransfer(w.buf, it, id, first)
		more := len(w.buf) - 1 // where the performative says whether more follows
		room := most - (len(w.buf) - start)
		n := min(room, len(head))
		w.buf, head = append(w.buf, head[:n]...), head[n:]
		room -= n
		n = min(room, len(tail))
		w.buf, tail = append(w.buf, tail[:n]...), tail[n:]
		s.nextOutgoing.Add(1)
		first = false
		if len(head)+len(tail) == 0 {
			w.buf = endFrame(w.buf, start)
			break
		}
		w.buf[more] = fmtTrue
		w.buf = endFrame(w.buf, start)
		if err := w.flushAbove(flushSize); err != nil {
			return err
		}
	}
	if l.out.settled {
		w.note(it.consumer, it.tag)
	}
	return nil
}

// appendTransfer writes the performative by hand: it is on the way of each
// message, and its last byte is the field more.
func (w *writer) appendTransfer(b []byte, it *outItem, id uint32, first bool) []byte {
	b = append(b, fmtDescribed, fmtSmallUlong, codeTransfer, fmtList8, 0, 6)
	start := len(b) - 1 // the size counts from the count
	b = appendUint(b, it.link.handle)
	if !first {
		b = append(b, fmtNull, fmtNull, fmtNull, fmtNull, fmtFalse)
	} else {
		b = appendUint(b, id)
		binary.BigEndian.PutUint64(w.tag[:], it.tag)
		tag := w.tag[:]
		for len(tag) > 1 && tag[0] == 0 {
			tag = tag[1:]
		}
		b = appendBinary(b, tag)
		b = append(appendBool(append(b, fmtUint0), it.link.out.settled), fmtFalse)
	}
	b[start-1] = byte(len(b) - start)
	return b
}

// hasWindow reports whether the client has room for a transfer frame. If not,
// the next change of its window queues outUnpark.
func (s *session) hasWindow() bool {
	if before(s.nextOutgoing.Load(), s.windowEnd.Load()) {
		return true
	}
	s.blocked.Store(true)
	return before(s.nextOutgoing.Load(), s.windowEnd.Load()) // it may have changed before blocked was seen
}

// unpark sends what waited for the window, in its order.
func (w *writer) unpark(s *session) error {
	s.blocked.Store(false)
	parked := s.parked
	s.parked = nil
	for i := range parked {
		if err := w.encode(&parked[i]); err != nil {
			return err
		}
		if err := w.flushAbove(flushSize); err != nil {
			return err
		}
	}
	return nil
}
