package mqtt

// readAuth decodes an AUTH (MQTT 5.0, 3.15). Its texts point into the packet.
func readAuth(p packet) (a endPacket, err error) {
	f := fields{b: p.body}
	if len(f.b) > 0 { // nothing means success, which is the broker's to say
		a.reason = reason(f.byte("reason code"))
		if len(f.b) > 0 {
			a.props.read(&f, authProperties)
		}
	}
	if err := f.end(); err != nil {
		return a, err
	}
	if a.reason != continueAuthentication && a.reason != reAuthenticate {
		return a, violation("AUTH has reason code %#x", uint8(a.reason)) // [MQTT-3.15.2-1]
	}
	return a, nil
}

// appendAuth encodes an AUTH.
func appendAuth(b []byte, r reason, method string, data []byte) []byte {
	props := appendMethod(nil, method, data)
	b = appendVarint(append(b, byte(typeAuth)<<4), 1+varintSize(len(props))+len(props))
	return append(appendVarint(append(b, byte(r)), len(props)), props...)
}

// appendMethod encodes the properties that name a method of authentication and
// carry its data [MQTT-4.12.0-5].
func appendMethod(b []byte, method string, data []byte) []byte {
	b = appendTextProperty(b, propAuthMethod, method)
	if data != nil {
		b = appendTextProperty(b, propAuthData, alias(data))
	}
	return b
}
