package mqtt

// endPacket is a DISCONNECT (MQTT 5.0, 3.14) or an AUTH (3.15).
type endPacket struct {
	reason reason
	props  properties
}

// readDisconnect decodes a DISCONNECT.
func readDisconnect(p packet, v version) (d endPacket, err error) {
	f := fields{b: p.body}
	if v == v5 && len(f.b) > 0 { // nothing means normal disconnection
		d.reason = reason(f.byte("reason code"))
		if len(f.b) > 0 {
			d.props.read(&f, disconnectProperties)
		}
	}
	if err := f.end(); err != nil {
		return d, err
	}
	if !clientDisconnect(d.reason) {
		return d, violation("DISCONNECT has reason code %#x", uint8(d.reason)) // [MQTT-3.14.2-1]
	}
	return d, nil
}

// clientDisconnect reports whether a client may disconnect for r.
func clientDisconnect(r reason) bool {
	switch r { //nolint:exhaustive // those that a client's DISCONNECT has
	case success, disconnectWithWill, unspecifiedError, malformedPacket, protocolError, implementationError,
		topicNameInvalid, receiveMaximumExceeded, topicAliasInvalid, packetTooLarge, 0x96, quotaExceeded,
		administrativeAction, payloadFormatInvalid:
		return true
	}
	return false
}

// appendDisconnect encodes the broker's own DISCONNECT, which only MQTT 5 has.
func appendDisconnect(b []byte, f *fault, withText bool) []byte {
	var props []byte
	if withText && f.text != "" {
		props = appendTextProperty(props, propReasonString, clip(f.text))
	}
	if f.reference != "" {
		props = appendTextProperty(props, propServerReference, f.reference)
	}
	if len(props) == 0 {
		return append(b, byte(typeDisconnect)<<4, 1, byte(f.reason))
	}
	b = appendVarint(append(b, byte(typeDisconnect)<<4), 1+varintSize(len(props))+len(props))
	return append(appendVarint(append(b, byte(f.reason)), len(props)), props...)
}

// clip shortens a reason string: some of them quote what a client wrote.
func clip(s string) string {
	const longest = 256
	if len(s) <= longest {
		return s
	}
	s = s[:longest]
	for len(s) > 0 && s[len(s)-1]&0xc0 == 0x80 { // not within a character
		s = s[:len(s)-1]
	}
	if n := len(s); n > 0 && s[n-1] >= 0xc0 {
		s = s[:n-1]
	}
	return s
}
