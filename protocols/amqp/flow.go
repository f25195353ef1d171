package amqp

// handleFlow takes a client's windows and credit (AMQP 1.0, 2.7.4).
func (s *session) handleFlow(d *decoder) error {
	var f flow
	f.decode(d)
	if d.err != nil {
		return malformed("flow", d)
	}
	c := s.conn
	s.takeWindow(&f)
	if !f.handle.ok {
		if f.echo {
			c.mu.Lock()
			c.post(outItem{kind: outFlow, sess: s})
			c.mu.Unlock()
		}
		return nil
	}
	l, err := s.linkAt(f.handle.value)
	if err != nil || l.over {
		return err
	}
	if l.sender && f.linkCredit.ok {
		l.allow(&f)
	}
	if !l.sender && f.deliveryCount.ok {
		// Credit that the client gave up by its own doing is gone.
		if before(l.deliveryCount.Load(), f.deliveryCount.value) && !before(l.limit.Load(), f.deliveryCount.value) {
			l.deliveryCount.Store(f.deliveryCount.value)
			l.topUp()
		}
	}
	if f.echo && (!l.sender || !f.drain) {
		c.mu.Lock()
		c.post(outItem{kind: outFlow, sess: s, link: l})
		c.mu.Unlock()
	}
	return nil
}

// takeWindow notes up to which transfer the client has room. A client that
// has not seen our begin counts from our first id, which is 0.
func (s *session) takeWindow(f *flow) {
	end := f.nextIncomingID.value + f.incomingWindow
	if f.incomingWindow > 1<<30 {
		end = f.nextIncomingID.value + 1<<30 // serial numbers are compared within half of their range
	}
	s.windowEnd.Store(end)
	if s.blocked.Load() { // the writer sets it and then looks at windowEnd again
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		s.conn.post(outItem{kind: outUnpark, sess: s})
	}
}

// allow gives the broker's consumer the credit that the client says.
func (l *link) allow(f *flow) {
	c := l.sess.conn
	limit := f.deliveryCount.value + f.linkCredit.value
	l.limit.Store(limit)
	c.mu.Lock()
	handed, skipped := l.handed, l.skipped
	c.mu.Unlock()
	through := handed
	if more := int32(limit - (uint32(handed) + skipped)); more > 0 {
		through += uint64(more)
	}
	if f.linkCredit.value > 1<<30 {
		through = handed + 1<<30
	}
	if f.drain {
		l.out.consumer.Drain(through)
		return
	}
	l.out.consumer.Allow(through)
}
