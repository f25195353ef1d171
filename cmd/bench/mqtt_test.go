package bench

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

func TestMqttPacketsAreRead(t *testing.T) {
	c4, c5 := &mqttCodec{mqttProtocol{level: 4}}, &mqttCodec{mqttProtocol{level: 5}}
	for _, test := range []struct {
		codec  *mqttCodec
		hex    string
		want   event
		wanted string // body
	}{
		{c4, "30 04 0001 61 62", event{kind: eventDelivery}, "b"},
		{c4, "32 06 0001 61 0007 62", event{kind: eventDelivery, id: 7, answers: true, answer: 0x40}, "b"},
		{c4, "34 06 0001 61 0007 62", event{kind: eventDelivery, id: 7, answers: true, answer: 0x50}, "b"},
		{c5, "30 07 0001 61 02 0101 62", event{kind: eventDelivery}, "b"},
		{c4, "40 02 0007", event{kind: eventConfirm, id: 7, numbered: true}, ""},
		{c4, "50 02 0007", event{id: 7, answers: true, answer: 0x62}, ""},
		{c4, "62 02 0007", event{id: 7, answers: true, answer: 0x70}, ""},
		{c4, "70 02 0007", event{kind: eventConfirm, id: 7, numbered: true}, ""},
		{c5, "40 03 0007 87", event{kind: eventRefusal, id: 7}, "packet 4 with reason 0x87"},
		{c4, "90 03 0001 00", event{kind: eventReply}, ""},
		{c4, "90 03 0001 80", event{kind: eventRefusal}, "SUBACK 0x80"},
		{c4, "d0 00", event{kind: eventReply}, ""},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(test.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		for n := range b { // a packet that is not all there yet
			var e event
			if size, err := test.codec.next(b[:n], &e); size != 0 || err != nil {
				t.Errorf("%s: %d bytes of it are taken as %d, %v", test.hex, n, size, err)
			}
		}
		var e event
		size, err := test.codec.next(b, &e)
		body := string(e.body)
		e.body = nil
		if size != len(b) || err != nil || body != test.wanted || e.kind != test.want.kind || e.id != test.want.id ||
			e.answers != test.want.answers || e.answer != test.want.answer || e.numbered != test.want.numbered {
			t.Errorf("%s: %d, %v, %+v %q", test.hex, size, err, e, body)
		}
	}
}

func TestMqttPublicationsCarryStampAndNumber(t *testing.T) {
	c := &mqttCodec{mqttProtocol{level: 5, qos: 1}}
	f, err := c.publication(publication{destination: "t/x", size: 20, confirm: true}, 2)
	if err != nil {
		t.Fatal(err)
	}
	f.mark(1, stamp{run: 5, seq: 65536})
	second := f.first(2)[f.size:]
	var e event
	if n, err := c.next(second, &e); n != f.size || err != nil || e.id != 2 || len(e.body) != 20 {
		t.Fatalf("%d, %v, %+v", n, err, e)
	}
	if s, err := readStamp(e.body); err != nil || s.seq != 65536 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := c.publication(publication{destination: "t", size: 20}, 1); err == nil {
		t.Error("QoS 1 without confirmations is taken")
	}
}

// script answers with one text whatever is asked.
type script struct{ io.Reader }

func (script) Write(p []byte) (int, error) { return len(p), nil }

func TestMqttHandshake(t *testing.T) {
	p := mqttProtocol{level: 4}
	for answer, want := range map[string]string{
		"\x20\x02\x00\x00": "",
		"\x20\x02\x00\x05": "the broker refused: CONNACK 0x5",
		"HTTP/1.1 400":     "the answer to CONNECT is no CONNACK: is this an MQTT port?",
		"":                 "wait for CONNACK: EOF",
	} {
		_, err := p.open(script{bytes.NewReader([]byte(answer))}, credentials{})
		if got := ""; err != nil && err.Error() != want || err == nil && got != want {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}
