package protocols

import (
	"encoding/binary"
)

// detectLimit is the most that detection looks at.
const detectLimit = 32

// transportTLS is what detection finds beside the protocols.
const transportTLS = "tls"

// verdict is what the first bytes say about one protocol.
type verdict uint8

const (
	no    verdict = iota // they can't be its beginning
	maybe                // they are too few to tell
	yes
)

// matchers decide by the first bytes. No bytes get yes from two of them.
var matchers = []struct {
	protocol string
	match    func([]byte) verdict
}{
	{STOMP, matchSTOMP},
	{MQTT, matchMQTT},
	{AMQP, matchAMQP},
	{OpenWire, matchOpenWire},
	{WebSocket, matchHTTP},
	{transportTLS, matchTLS},
}

// detect names the protocol that b begins, "" if it can't tell; then more
// says whether further bytes could help. It needs detectLimit bytes at most.
func detect(b []byte) (protocol string, more bool) {
	for _, m := range matchers {
		switch m.match(b) {
		case yes:
			return m.protocol, false
		case maybe:
			more = true
		case no:
		}
	}
	return "", more && len(b) < detectLimit
}

// matchPrefix compares as much of b and want as both have.
func matchPrefix(b []byte, want string) verdict {
	n := min(len(b), len(want))
	switch {
	case string(b[:n]) != want[:n]:
		return no
	case n < len(want):
		return maybe
	}
	return yes
}

// matchSTOMP takes a line break as the start of STOMP, which alone allows
// some before the first frame (heart-beats), and CONNECT or STOMP with the end
// of its line: "CONNECT host:80" is HTTP's.
func matchSTOMP(b []byte) verdict {
	if len(b) > 0 && (b[0] == '\n' || b[0] == '\r') {
		return yes
	}
	return max(matchCommand(b, "CONNECT"), matchCommand(b, "STOMP"))
}

func matchCommand(b []byte, command string) verdict {
	if v := matchPrefix(b, command); v != yes {
		return v
	}
	if len(b) == len(command) {
		return maybe
	}
	if end := b[len(command)]; end == '\n' || end == '\r' {
		return yes
	}
	return no
}

// matchMQTT takes a CONNECT packet: type, remaining length of four bytes at
// most [MQTT-1.5.5-1], protocol name of MQTT 3.1 or later.
func matchMQTT(b []byte) verdict {
	if v := matchPrefix(b, "\x10"); v != yes {
		return v
	}
	length, size := binary.Uvarint(b[1:min(len(b), 5)])
	if size <= 0 {
		if len(b) < 5 {
			return maybe
		}
		return no
	}
	name := b[1+size:]
	short, long := matchPrefix(name, "\x00\x04MQTT"), matchPrefix(name, "\x00\x06MQIsdp")
	if length < 10 {
		return no // nothing shorter has a name, a level, flags and a keep-alive
	}
	return max(short, long)
}

func matchAMQP(b []byte) verdict { return matchPrefix(b, "AMQP") }

// openWireMagic begins a WireFormatInfo after its type byte.
const openWireMagic = "\x01ActiveMQ"

// matchOpenWire takes a WireFormatInfo, with its size before it (always, in
// practice) or without.
func matchOpenWire(b []byte) verdict {
	if v := matchPrefix(b, openWireMagic); v != no {
		return v
	}
	// A size below 64 KiB: its high half is zero.
	if v := matchPrefix(b, "\x00\x00"); v != yes {
		return v
	}
	if len(b) < 4 {
		return maybe
	}
	if binary.BigEndian.Uint32(b) < uint32(len(openWireMagic)) {
		return no
	}
	return matchPrefix(b[4:], openWireMagic)
}

var httpMethods = []string{"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE "}

// matchHTTP takes every method: only GET can become a WebSocket, and the
// others get HTTP's answer instead of silence.
func matchHTTP(b []byte) verdict {
	v := no
	for _, m := range httpMethods {
		v = max(v, matchPrefix(b, m))
	}
	return v
}

// matchTLS takes a handshake record of any 3.x version with a ClientHello.
func matchTLS(b []byte) verdict {
	if v := matchPrefix(b, "\x16\x03"); v != yes {
		return v
	}
	if len(b) < 6 {
		return maybe
	}
	if b[2] <= 4 && b[5] == 1 {
		return yes
	}
	return no
}
