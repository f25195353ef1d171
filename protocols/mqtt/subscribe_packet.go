package mqtt

// filterOption is one topic filter of a SUBSCRIBE with its options (MQTT 5.0,
// 3.8.3).
type filterOption struct {
	filter            []byte // points into the packet
	qos               byte
	noLocal           bool
	retainAsPublished bool
	retainHandling    byte
}

// subscribePacket is a SUBSCRIBE.
type subscribePacket struct {
	id             uint16
	subscriptionID int // 0 for none
	filters        []filterOption
}

// maxFilters bounds one SUBSCRIBE or UNSUBSCRIBE.
const maxFilters = 10_000

// endOfFilters ends a packet behind its last filter.
func (f *fields) endOfFilters() error {
	if len(f.b) > 0 {
		f.fault(quotaExceeded, "there are more than %d filters", maxFilters)
	}
	return f.end()
}

// readSubscribe decodes a SUBSCRIBE.
func readSubscribe(p packet, v version) (s subscribePacket, err error) {
	f := fields{b: p.body}
	if s.id = f.uint16("packet identifier"); f.err == nil && s.id == 0 {
		f.protocol("packet identifier is 0") // [MQTT-2.2.1-3]
	}
	if v == v5 {
		var props properties
		props.read(&f, subscribeProperties)
		s.subscriptionID = props.subscriptionID
	}
	for len(f.b) > 0 && len(s.filters) < maxFilters {
		o := filterOption{filter: f.text("topic filter")} // [MQTT-3.8.3-1]
		options := f.byte("subscription options")
		o.qos = options & 3
		if v == v5 {
			o.noLocal, o.retainAsPublished, o.retainHandling = options&4 != 0, options&8 != 0, options>>4&3
			options &^= 0x3c
		}
		switch {
		case o.qos == 3:
			f.fail("filter asks for QoS 3") // 3.1.1 [MQTT-3-8.3-4]
		case options&^3 != 0:
			f.fail("subscription options have reserved bits set") // [MQTT-3.8.3-5]
		case o.retainHandling == 3:
			f.protocol("retain handling is 3")
		}
		s.filters = append(s.filters, o)
	}
	if err := f.endOfFilters(); err != nil {
		return s, err
	}
	if len(s.filters) == 0 {
		return s, violation("SUBSCRIBE has no filter") // [MQTT-3.8.3-2]
	}
	return s, nil
}

// unsubscribePacket is an UNSUBSCRIBE (MQTT 5.0, 3.10).
type unsubscribePacket struct {
	id      uint16
	filters [][]byte
}

// readUnsubscribe decodes an UNSUBSCRIBE.
func readUnsubscribe(p packet, v version) (u unsubscribePacket, err error) {
	f := fields{b: p.body}
	if u.id = f.uint16("packet identifier"); f.err == nil && u.id == 0 {
		f.protocol("packet identifier is 0") // [MQTT-2.2.1-3]
	}
	if v == v5 {
		var props properties
		props.read(&f, unsubscribeProperties)
	}
	for len(f.b) > 0 && len(u.filters) < maxFilters {
		u.filters = append(u.filters, f.text("topic filter")) // [MQTT-3.10.3-1]
	}
	if err := f.endOfFilters(); err != nil {
		return u, err
	}
	if len(u.filters) == 0 {
		return u, violation("UNSUBSCRIBE has no filter") // [MQTT-3.10.3-2]
	}
	return u, nil
}

// appendSuback encodes a SUBACK or UNSUBACK with one code for each filter, in
// their order [MQTT-3.8.4-6] [MQTT-3.11.3-1].
func appendSuback(b []byte, k packetType, id uint16, codes []byte, v version) []byte {
	n := 2 + len(codes)
	if v == v5 {
		n++
	}
	b = appendUint16(appendVarint(append(b, byte(k)<<4), n), id)
	if v == v5 {
		b = append(b, 0)
	}
	return append(b, codes...)
}
