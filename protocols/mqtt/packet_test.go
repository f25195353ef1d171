package mqtt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// decodeAny decodes a packet as the connection would, and encodes what came
// out of it again, as far as the broker has an encoder for it.
func decodeAny(p packet, v version) (again []byte, err error) {
	switch p.kind {
	case typeConnect:
		_, err = readConnect(p.body)
	case typePublish:
		var pub publishPacket
		if err = readPublish(p, v, &pub); err == nil {
			again = publishing{
				topic: string(pub.topic), body: string(pub.payload), qos: pub.qos, id: pub.id,
				dup: pub.dup, retain: pub.retain, props: pub.props.raw,
			}.packet(v)
		}
	case typePuback, typePubrec, typePubrel, typePubcomp:
		_, err = readAck(p, v)
	case typeSubscribe:
		_, err = readSubscribe(p, v)
	case typeUnsubscribe:
		_, err = readUnsubscribe(p, v)
	case typeDisconnect:
		_, err = readDisconnect(p, v)
	case typeAuth:
		_, err = readAuth(p)
	case typeReserved, typeConnack, typeSuback, typeUnsuback, typePingreq, typePingresp:
	}
	return again, err
}

// unhex reads hexadecimal digits with blanks between them.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

const ok = success

var packets = []struct {
	name string
	v    version
	hex  string
	want reason // of the error
}{
	{"CONNECT 3.1", v31, "10 0f 0006 4d5149736470 03 02 003c 0001 61", ok},
	{"CONNECT 3.1.1", v311, "10 0d 0004 4d515454 04 02 003c 0001 61", ok},
	{"CONNECT 3.1.1 of a bridge", v311, "10 0d 0004 4d515454 84 02 003c 0001 61", ok},
	{"CONNECT 3.1.1 with will, user and password", v311, "10 1a 0004 4d515454 04 ee 003c 0001 61 0001 77 0002 6869 0001 75 0001 70", ok},
	{"CONNECT 5", v5, "10 0e 0004 4d515454 05 02 003c 00 0001 61", ok},
	{"CONNECT 5 with properties", v5, "10 16 0004 4d515454 05 02 003c 08 11 00000e10 21 000a 0001 61", ok},
	{"CONNECT 5 with a password alone", v5, "10 11 0004 4d515454 05 42 003c 00 0001 61 0001 70", ok},
	{"CONNECT of an unknown level", v311, "10 0d 0004 4d515454 06 02 003c 0001 61", unsupportedVersion},
	{"CONNECT of another protocol", v311, "10 0d 0004 4d515455 04 02 003c 0001 61", unsupportedVersion},
	{"CONNECT with the reserved flag", v311, "10 0d 0004 4d515454 04 03 003c 0001 61", malformedPacket},
	{"CONNECT with will QoS and no will", v311, "10 0d 0004 4d515454 04 0a 003c 0001 61", malformedPacket},
	{"CONNECT with will QoS 3", v311, "10 13 0004 4d515454 04 1e 003c 0001 61 0001 77 0001 68", malformedPacket},
	{"CONNECT 3.1.1 with a password alone", v311, "10 10 0004 4d515454 04 42 003c 0001 61 0001 70", malformedPacket},
	{"CONNECT with bytes behind its end", v311, "10 0e 0004 4d515454 04 02 003c 0001 61 00", malformedPacket},
	{"CONNECT that ends early", v311, "10 0c 0004 4d515454 04 02 003c 0001", malformedPacket},
	{"CONNECT with a NUL in its client id", v311, "10 0e 0004 4d515454 04 02 003c 0002 6100", malformedPacket},
	{"CONNECT 5 with receive maximum 0", v5, "10 11 0004 4d515454 05 02 003c 03 21 0000 0001 61", protocolError},
	{"CONNECT 5 with a property twice", v5, "10 14 0004 4d515454 05 02 003c 06 21 0001 21 0001 0001 61", protocolError},
	{"CONNECT 5 with a property of PUBLISH", v5, "10 10 0004 4d515454 05 02 003c 02 01 01 0001 61", protocolError},
	{"CONNECT 5 with an unknown property", v5, "10 10 0004 4d515454 05 02 003c 02 04 01 0001 61", malformedPacket},
	{"CONNECT 5 with data of no method", v5, "10 12 0004 4d515454 05 02 003c 04 16 0001 61 0001 61", protocolError},
	{"CONNECT with flags", v311, "11 0d 0004 4d515454 04 02 003c 0001 61", malformedPacket},

	{"PUBLISH of QoS 0", v311, "30 06 0003 612f62 68", ok},
	{"PUBLISH of QoS 1", v311, "33 08 0003 612f62 000a 68", ok},
	{"PUBLISH of QoS 2 sent again", v311, "3c 08 0003 612f62 000a 68", ok},
	{"PUBLISH 5 without properties", v5, "32 09 0003 612f62 000a 00 68", ok},
	{"PUBLISH 5 with properties", v5, "30 16 0003 612f62 0f 02 0000003c 26 0001 6b 0002 7631 01 01 68", ok},
	{"PUBLISH 5 by alias", v5, "30 07 0000 03 23 0001 68", ok},
	{"PUBLISH of QoS 3", v311, "36 08 0003 612f62 000a 68", malformedPacket},
	{"PUBLISH of QoS 0 sent again", v311, "38 06 0003 612f62 68", malformedPacket},
	{"PUBLISH with identifier 0", v311, "32 08 0003 612f62 0000 68", protocolError},
	{"PUBLISH without identifier", v311, "32 05 0003 612f62", malformedPacket},
	{"PUBLISH with a topic of bad UTF-8", v311, "30 06 0003 61c328 68", malformedPacket},
	{"PUBLISH with a surrogate in its topic", v311, "30 06 0003 eda080 68", malformedPacket},
	{"PUBLISH with a topic longer than itself", v311, "30 03 0010 61", malformedPacket},
	{"PUBLISH 5 with alias 0", v5, "30 07 0000 03 23 0000 68", topicAliasInvalid},
	{"PUBLISH 5 with a subscription identifier", v5, "30 08 0003 612f62 02 0b 01", protocolError},
	{"PUBLISH 5 that claims UTF-8 falsely", v5, "30 0a 0003 612f62 02 01 01 c328", payloadFormatInvalid},
	{"PUBLISH 5 with payload format 2", v5, "30 0a 0003 612f62 02 01 02 6162", protocolError},

	{"PUBACK", v311, "40 02 000a", ok},
	{"PUBACK 5 with a reason", v5, "40 03 000a 10", ok},
	{"PUBACK 5 with properties", v5, "40 0a 000a 80 06 1f 0003 626164", ok},
	{"PUBACK of 0", v311, "40 02 0000", protocolError},
	{"PUBACK with an unknown reason", v5, "40 03 000a 42", protocolError},
	{"PUBACK 3.1.1 with a reason", v311, "40 03 000a 10", malformedPacket},
	{"PUBACK that is empty", v311, "40 00", malformedPacket},
	{"PUBACK with flags", v311, "42 02 000a", malformedPacket},
	{"PUBREC", v311, "50 02 000a", ok},
	{"PUBREL", v311, "62 02 000a", ok},
	{"PUBREL without flags", v311, "60 02 000a", malformedPacket},
	{"PUBREL with a reason of PUBREC", v5, "62 03 000a 10", protocolError},
	{"PUBCOMP", v311, "70 02 000a", ok},

	{"SUBSCRIBE", v311, "82 08 000a 0003 612f62 01", ok},
	{"SUBSCRIBE to two", v311, "82 0c 000a 0003 612f62 01 0001 23 00", ok},
	{"SUBSCRIBE 5", v5, "82 0b 000a 02 0b 05 0003 612f62 2d", ok},
	{"SUBSCRIBE without filter", v311, "82 02 000a", protocolError},
	{"SUBSCRIBE with QoS 3", v311, "82 08 000a 0003 612f62 03", malformedPacket},
	{"SUBSCRIBE 3.1.1 with options of 5", v311, "82 08 000a 0003 612f62 05", malformedPacket},
	{"SUBSCRIBE 5 with reserved options", v5, "82 09 000a 00 0003 612f62 41", malformedPacket},
	{"SUBSCRIBE 5 with retain handling 3", v5, "82 09 000a 00 0003 612f62 31", protocolError},
	{"SUBSCRIBE 5 with identifier 0", v5, "82 0b 000a 02 0b 00 0003 612f62 01", protocolError},
	{"SUBSCRIBE with packet identifier 0", v311, "82 08 0000 0003 612f62 01", protocolError},
	{"SUBSCRIBE without flags", v311, "80 08 000a 0003 612f62 01", malformedPacket},
	{"UNSUBSCRIBE", v311, "a2 07 000a 0003 612f62", ok},
	{"UNSUBSCRIBE 5", v5, "a2 08 000a 00 0003 612f62", ok},
	{"UNSUBSCRIBE without filter", v311, "a2 02 000a", protocolError},

	{"DISCONNECT", v311, "e0 00", ok},
	{"DISCONNECT 5 with will", v5, "e0 01 04", ok},
	{"DISCONNECT 5 with expiry", v5, "e0 07 00 05 11 00000001", ok},
	{"DISCONNECT 3.1.1 with a reason", v311, "e0 01 04", malformedPacket},
	{"DISCONNECT with a server's reason", v5, "e0 01 8b", protocolError},
	{"AUTH", v5, "f0 08 18 06 15 0003 585858", ok},
	{"AUTH with a reason of its own", v5, "f0 01 42", protocolError},

	{"type 0", v311, "00 00", malformedPacket},
	{"length of five bytes", v311, "30 80 80 80 80 01", malformedPacket},
	{"length in more bytes than it needs", v311, "30 80 00", malformedPacket},
	{"packet above the limit", v311, "30 ff ff ff 7f", packetTooLarge},
}

func TestPacketsAreDecodedOrRefusedWithTheirReason(t *testing.T) {
	for _, test := range packets {
		b := unhex(t, test.hex)
		p, n, _, err := nextPacket(b, strangerPacket)
		var again []byte
		if err == nil {
			if n != len(b) {
				t.Errorf("%s: %d of %d bytes taken", test.name, n, len(b))
				continue
			}
			again, err = decodeAny(p, test.v)
		}
		var f *fault
		switch {
		case test.want == success && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want == success && again != nil && !bytes.Equal(again, b):
			t.Errorf("%s: encoded as %x", test.name, again)
		case test.want != success && (!errors.As(err, &f) || f.reason != test.want):
			t.Errorf("%s: got %v, want reason %#x", test.name, err, uint8(test.want))
		}
	}
}

func TestPacketsThatCameInPartAreWaitedFor(t *testing.T) {
	whole := unhex(t, "33 08 0003 612f62 000a 68")
	for n := range whole {
		_, taken, need, err := nextPacket(whole[:n], strangerPacket)
		if taken != 0 || err != nil || need <= n || need > len(whole) {
			t.Errorf("of %d bytes: took %d, needs %d, %v", n, taken, need, err)
		}
	}
}

func TestAcknowledgementsSayWhatTheVersionCan(t *testing.T) {
	for _, test := range []struct {
		k    packetType
		r    reason
		text string
		v    version
		want string
	}{
		{typePuback, success, "", v311, "40 02 0007"},
		{typePuback, notAuthorized, "no", v311, "40 02 0007"},
		{typePuback, success, "", v5, "40 02 0007"},
		{typePubrec, notAuthorized, "", v5, "50 03 0007 87"},
		{typePubrec, notAuthorized, "no", v5, "50 09 0007 87 05 1f 0002 6e6f"},
		{typePubrel, success, "", v5, "62 02 0007"},
		{typePubcomp, packetIDNotFound, "", v5, "70 03 0007 92"},
	} {
		got := appendAck(nil, test.k, 7, test.r, test.text, test.v)
		if !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%v %#x in %v: %x", test.k, uint8(test.r), test.v, got)
		}
	}
}

func TestNamesChangeNotationAndBack(t *testing.T) {
	for mqtt, core := range map[string]string{
		"a/b": "a.b", "a.b/c": "a/b.c", "+/x/#": "*.x.>", "a*b>": "a+b#", "/": ".", "$SYS/x": "$SYS.x",
		"a,b": "a‚b", "a‚b": "a,b", "ü/é": "ü.é",
	} {
		if got := swapped(mqtt); got != core {
			t.Errorf("%q became %q", mqtt, got)
		}
		if got := swapped(core); got != mqtt {
			t.Errorf("%q became %q", core, got)
		}
	}
}

func TestFiltersAreChecked(t *testing.T) {
	for _, good := range []string{"a", "a/b", "+", "#", "+/+", "a/+/#", "/", "//", "$SYS/#", "a b"} {
		if err := checkFilter(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a#", "a/#/b", "#/a", "a+", "+a/b", "a/b+c", strings.Repeat("a/", 128), strings.Repeat("a", 5000)} {
		if err := checkFilter(bad); err == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
	for _, bad := range []string{"$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"} {
		if _, _, err := cutShare(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestIdentifiersFollowFromPlaces(t *testing.T) {
	for pos, want := range map[uint64]uint16{0: 1, 1: 2, 65534: 65535, 65535: 1, 4<<56 | 65536: 2} {
		if got := identifierOf(pos); got != want {
			t.Errorf("%#x: %d, want %d", pos, got, want)
		}
	}
}

func TestFlightFindsEveryIdentifier(t *testing.T) {
	var f flight
	for _, id := range []uint16{1, 17, 33, 65535, 2, 4097} {
		f.add(flying{id: id, tag: uint64(id)})
	}
	for _, id := range []uint16{1, 17, 33, 65535, 2, 4097} {
		if d := f.find(id); d == nil || d.tag != uint64(id) {
			t.Fatalf("%d: %+v", id, d)
		}
	}
	if f.find(3) != nil || f.find(0) != nil {
		t.Fatal("found what is not there")
	}
	f.last = 65534
	if a, b := f.fresh(), f.fresh(); a != 3 || b != 4 {
		t.Fatalf("fresh identifiers are %d and %d", a, b)
	}
	for _, id := range []uint16{1, 17, 33, 65535, 2, 4097} {
		f.free(f.find(id))
	}
	if f.n != 0 || f.slots != nil {
		t.Fatalf("%d in flight, %d slots", f.n, len(f.slots))
	}
}

// FuzzPackets holds the decoder to what it promises: no panic, memory in
// proportion to the input, and a PUBLISH comes back as it was.
func FuzzPackets(f *testing.F) {
	for _, p := range packets {
		b, err := hex.DecodeString(strings.ReplaceAll(p.hex, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(p.v))
	}
	f.Fuzz(func(t *testing.T, b []byte, level byte) {
		v := version(level%3 + 3)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rest := b
		for len(rest) > 0 {
			p, n, need, err := nextPacket(rest, strangerPacket)
			if err != nil {
				break
			}
			if n == 0 {
				if need <= len(rest) {
					t.Fatalf("has %d bytes, needs %d, and takes none", len(rest), need)
				}
				break
			}
			again, err := decodeAny(p, v)
			if err == nil && again != nil && !bytes.Equal(again, rest[:n]) {
				t.Fatalf("%x came back as %x", rest[:n], again)
			}
			rest = rest[n:]
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10+200*uint64(len(b)) {
			t.Fatalf("%d bytes of input took %d of memory", len(b), grown)
		}
	})
}

// FuzzConversation feeds a connection what a client might send.
func FuzzConversation(f *testing.F) {
	hi := hello{v: v5, id: "f", clean: true}.packet()
	for _, p := range packets {
		b, err := hex.DecodeString(strings.ReplaceAll(p.hex, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(bytes.Clone(hi), b...))
		f.Add(b)
	}
	r := newRig(f, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		r.t = t
		c := r.dial()
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = c.conn.Write(b) // the broker may close before it has read all
			_ = c.conn.(*net.TCPConn).CloseWrite()
		}()
		_ = c.conn.SetReadDeadline(time.Now().Add(testWait))
		_, _ = io.Copy(io.Discard, c.conn)
		<-written
		_ = c.conn.Close()
		c.gone()
		r.t, r.ends = f, nil
	})
}
