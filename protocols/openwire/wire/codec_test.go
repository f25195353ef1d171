package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func TestBrokenFramesAreRefused(t *testing.T) {
	loose, tight := Format{Version: 12}, Format{Version: 12, Tight: true}
	cached := Format{Version: 12, CacheSize: 1024}
	var nest []byte // BrokerInfo in BrokerInfo
	for range 20 {
		nest = append(nest, byte(TypeBrokerInfo), 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1)
	}
	for _, c := range []struct {
		name  string
		f     Format
		frame []byte
		want  string
	}{
		{"empty", loose, nil, "ends too early"},
		{"an unknown type", loose, []byte{200}, "unknown in version 12"},
		{"a type of a later version", Format{Version: 2}, []byte{byte(TypeProducerAck), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "unknown in version 2"},
		{"half a command", loose, []byte{byte(TypeKeepAliveInfo), 0, 0}, "ends too early"},
		{"too much", loose, []byte{byte(TypeKeepAliveInfo), 0, 0, 0, 1, 0, 9}, "longer than"},
		{"too many booleans", tight, []byte{byte(TypeKeepAliveInfo), 2, 0, 0, 0, 0, 0, 1}, "longer than"},
		{"no booleans", tight, []byte{byte(TypeKeepAliveInfo), 0, 0, 0, 0, 1}, "ends too early"},
		{"a negative count of booleans", tight, []byte{byte(TypeKeepAliveInfo), 0x80, 0xFF, 0xFF, 0}, "ends too early"},
		{"a session where a connection should be", loose, []byte{byte(TypeSessionInfo), 0, 0, 0, 1, 0, 1, byte(TypeConnectionID), 0}, "may not"},
		{"a long string", loose, []byte{byte(TypeBrokerID), 1, 0xFF, 0xFF, 'x'}, "ends too early"},
		{"a huge array", loose, append([]byte{byte(TypeBrokerInfo), 0, 0, 0, 1, 0, 0, 0, 1, 0x7F, 0xFF}, nest...), "too long"},
		{"a nest", loose, nest, "nested"},
		{"long bytes", loose, []byte{byte(TypePartialCommand), 0, 0, 0, 1, 1, 0x7F, 0xFF, 0xFF, 0xFF, 1}, "ends too early"},
		{"negative bytes", loose, []byte{byte(TypePartialCommand), 0, 0, 0, 1, 1, 0xFF, 0xFF, 0xFF, 0xFF, 1}, "ends too early"},
		{"not UTF-8", loose, []byte{byte(TypeBrokerID), 1, 0, 1, 0xFF}, "UTF-8"},
		{"an empty slot of the cache", cached, []byte{byte(TypeSessionInfo), 0, 0, 0, 1, 0, 0, 0, 5}, "not in the cache"},
		{"a slot beyond the cache", cached, []byte{byte(TypeSessionInfo), 0, 0, 0, 1, 0, 1, 0x7F, 0, 0}, "not in the cache"},
		{"encoded before", tight, []byte{byte(TypeMessageDispatch), 1, 0b00011000, 0, 0, 0, 1, byte(TypeActiveMQTextMessage)}, "before"},
	} {
		s, err := NewDecoder(c.f).Decode(c.frame)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error with %q", c.name, s, err, c.want)
		}
	}
}

func TestADecoderGoesOnAfterABadFrame(t *testing.T) {
	d := NewDecoder(Format{Version: 12, Tight: true})
	good, err := NewEncoder(Format{Version: 12, Tight: true}).Append(nil, &KeepAliveInfo{BaseCommand{CommandID: 7}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode([]byte{byte(TypeConnectionInfo), 1}); err == nil {
		t.Fatal("half a frame was read")
	}
	if s, err := d.Decode(good[4:]); err != nil || s.(*KeepAliveInfo).CommandID != 7 {
		t.Errorf("read %v, %v", s, err)
	}
}

func TestWhatAVersionDoesNotKnowIsNotSent(t *testing.T) {
	dst := []byte("before")
	out, err := NewEncoder(Format{Version: 2}).Append(dst, &ProducerAck{})
	if err == nil || string(out) != "before" {
		t.Errorf("appended %q, %v", out, err)
	}
	if _, err := NewEncoder(Format{}).Append(nil, nil); err == nil {
		t.Error("nothing was sent")
	}
}

func TestWhatIsCachedOutlivesItsFrame(t *testing.T) {
	f := Format{Version: 12, CacheSize: 1024}
	e, d := NewEncoder(f), NewDecoder(f)
	x := &TransactionInfo{TransactionID: &XATransactionID{GlobalTransactionID: []byte("global"), BranchQualifier: []byte("branch")}}
	for range 2 {
		frame, err := e.Append(nil, x)
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Decode(frame[4:])
		if err != nil {
			t.Fatal(err)
		}
		clear(frame)
		id := s.(*TransactionInfo).TransactionID.(*XATransactionID)
		if string(id.GlobalTransactionID) != "global" || string(id.BranchQualifier) != "branch" {
			t.Fatalf("got %q and %q", id.GlobalTransactionID, id.BranchQualifier)
		}
	}
}

func FuzzDecode(f *testing.F) {
	v, err := golden()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range v.Structures {
		g := s.Groups[len(s.Groups)-1]
		for kind, frame := range g.Frames {
			f.Add(unhex(f, frame)[4:], strings.HasPrefix(kind, "tight"), strings.HasSuffix(kind, "Trace"), false, byte(12))
		}
	}
	for _, s := range v.CacheSequences {
		f.Add(unhex(f, s.Frames[0].Hex)[4:], s.Tight, false, true, byte(12))
	}
	f.Fuzz(func(t *testing.T, frame []byte, tight, trace, cache bool, version byte) {
		format := Format{Version: int(version % 14), Tight: tight, Trace: trace}
		if cache {
			format.CacheSize = 128
		}
		s, err := NewDecoder(format).Decode(frame)
		if err != nil || s == nil {
			return
		}
		out, err := NewEncoder(format).Append(nil, s)
		if err != nil {
			return // a string that only the loose encoding can say, a nest of null
		}
		again, err := NewDecoder(format).Decode(out[4:])
		if err != nil {
			t.Fatalf("%x was decoded and encoded as %x: %v", frame, out, err)
		}
		twice, err := NewEncoder(format).Append(nil, again)
		if err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%x became %x (%v)", out, twice, err)
		}
	})
}

func message1K() *ActiveMQTextMessage {
	producer := &ProducerID{ConnectionID: Text("ID:host-41234-1700000000000-1:1"), Value: 1, SessionID: 1}
	m := &ActiveMQTextMessage{}
	m.CommandID, m.ResponseRequired = 5, true
	m.ProducerID, m.Destination = producer, &ActiveMQQueue{ActiveMQDestination{Text("TEST.QUEUE")}}
	m.MessageID = &MessageID{ProducerID: producer, ProducerSequenceID: 77}
	m.Persistent, m.Priority, m.Timestamp = true, 4, 1700000000000
	m.Content = binary.BigEndian.AppendUint32(nil, 1024)
	m.Content = append(m.Content, bytes.Repeat([]byte("x"), 1024)...)
	return m
}

func BenchmarkDecode(b *testing.B) {
	for name, tight := range map[string]bool{"loose": false, "tight": true} {
		b.Run(name, func(b *testing.B) {
			f := Format{Version: 12, Tight: tight}
			frame, err := NewEncoder(f).Append(nil, message1K())
			if err != nil {
				b.Fatal(err)
			}
			d := NewDecoder(f)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(frame[4:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, tight := range map[string]bool{"loose": false, "tight": true} {
		b.Run(name, func(b *testing.B) {
			e := NewEncoder(Format{Version: 12, Tight: tight})
			m := message1K()
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = e.Append(dst[:0], m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
