package matrix

import (
	"encoding/hex"
	"slices"
)

// bodyRow says how the families hold a kind of body.
type bodyRow struct {
	kind string
	// sent are the forms in which a client can send it; the first is the usual one.
	sent map[Family][]string
	// got is the form in which a client gets what one of another family sent.
	got map[Family]string
}

// The forms, in the protocols' words.
const (
	formText      = "text"              // STOMP: without content-length; MQTT 5: payload format indicator 1
	formBytes     = "bytes"             // STOMP: with content-length
	formPayload   = "payload"           // MQTT
	formMapText   = "jms-map-json"      // STOMP: with that transformation
	formJSON      = "JSON"              // content type application/json
	formJava      = "bytes of Java"     // content type application/x-java-serialized-object
	formData      = "data"              // AMQP
	formTextData  = "data of text"      // AMQP: content-type text/plain
	formString    = "amqp-value string" // AMQP
	formMap       = "amqp-value map"
	formList      = "amqp-value list"
	formSequence  = "amqp-sequence"
	formNull      = "amqp-value null"
	formValue     = "amqp-value of another type"
	formPlain     = "Message" // JMS
	formTextMsg   = "TextMessage"
	formBytesMsg  = "BytesMessage"
	formMapMsg    = "MapMessage"
	formStreamMsg = "StreamMessage"
	formObjectMsg = "ObjectMessage"
)

var bodies = []bodyRow{
	{
		"text",
		map[Family][]string{STOMP: {formText}, MQTT5: {formText}, AMQP: {formString, formTextData}, OpenWire: {formTextMsg}},
		map[Family]string{STOMP: formText, MQTT3: formPayload, MQTT5: formText, AMQP: formString, OpenWire: formTextMsg},
	},
	{
		"bytes",
		map[Family][]string{STOMP: {formBytes}, MQTT3: {formPayload}, MQTT5: {formPayload}, AMQP: {formData}, OpenWire: {formBytesMsg}},
		map[Family]string{STOMP: formBytes, MQTT3: formPayload, MQTT5: formPayload, AMQP: formData, OpenWire: formBytesMsg},
	},
	{
		"map",
		map[Family][]string{STOMP: {formMapText}, AMQP: {formMap}, OpenWire: {formMapMsg}},
		map[Family]string{STOMP: formJSON, MQTT3: formPayload, MQTT5: formJSON, AMQP: formMap, OpenWire: formMapMsg},
	},
	{
		"stream",
		map[Family][]string{AMQP: {formList, formSequence}, OpenWire: {formStreamMsg}},
		map[Family]string{STOMP: formJSON, MQTT3: formPayload, MQTT5: formJSON, AMQP: formList, OpenWire: formStreamMsg},
	},
	{
		"object",
		map[Family][]string{AMQP: {formJava}, OpenWire: {formObjectMsg}},
		map[Family]string{STOMP: formJava, MQTT3: formPayload, MQTT5: formJava, AMQP: formJava, OpenWire: formObjectMsg},
	},
	{
		"value",
		map[Family][]string{AMQP: {formValue}},
		map[Family]string{STOMP: formJSON, MQTT3: formPayload, MQTT5: formJSON, AMQP: formValue, OpenWire: formTextMsg},
	},
	{
		"none",
		map[Family][]string{AMQP: {formNull}, OpenWire: {formPlain}},
		map[Family]string{STOMP: formText, MQTT3: formPayload, MQTT5: formPayload, AMQP: formNull, OpenWire: formPlain},
	},
}

// What the samples hold.
const (
	sampleText  = "é \"中\"\n\\ 😀"
	sampleBytes = "0001fffe80"
	// sampleJava is a java.lang.Integer of 42, serialized.
	sampleJava = "aced0005737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565" +
		"787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b02000078700000002a"
)

// sample is what is sent, and as what it arrives.
type sample struct {
	name string
	row  *bodyRow
	sent Content
}

// samplesOf are all bodies that a client of a family can send, each with all
// properties that it can send.
func samplesOf(f Family) (out []sample) {
	for i := range bodies {
		row := &bodies[i]
		for _, form := range row.sent[f] {
			c := Content{Form: form, Text: bodyText(row.kind), Entries: bodyEntries(row.kind, f), Properties: propertiesOf(f)}
			if form == formMapText { // is a header like any other besides
				c.Properties = append(c.Properties, Entry{"transformation", "string:" + formMapText})
			}
			out = append(out, sample{form, row, c})
		}
	}
	return out
}

// headed is a message with all headers that a client of a family can send.
func headed(f Family) sample {
	s := samplesOf(f)[0]
	s.name += " with headers"
	s.sent.Properties = nil
	s.sent.Headers = headersOf(f)
	return s
}

func bodyText(kind string) string {
	switch kind {
	case "text":
		return sampleText
	case "bytes":
		return sampleBytes
	case "object":
		return sampleJava
	}
	return ""
}

func bodyEntries(kind string, f Family) []Entry {
	switch kind {
	case "map":
		if f == STOMP { // what that transformation knows
			return []Entry{{"k_int", "int:-70000"}, {"k_string", "string:é"}}
		}
		return entriesOf(f, true)
	case "stream":
		return entriesOf(f, false)
	case "value":
		return []Entry{{"", "int:-70000"}}
	}
	return nil
}

// expected is what a client of a family gets of a sample that one of another,
// or of the same, has sent.
func (s *sample) expected(from, to Family, durable bool) Content {
	out := s.sent
	out.Durable = durable
	out.Headers = headersFor(s.sent.Headers, to)
	if from == to && s.sent.Form != formMapText {
		return out
	}
	out.Form = s.row.got[to]
	out.Properties = propertiesFor(s.sent.Properties, from, to, durable)
	out.Text, out.Entries = s.bodyFor(to)
	return out
}

func (s *sample) bodyFor(to Family) (text string, entries []Entry) {
	switch s.row.kind {
	case "map", "stream", "value":
		switch to {
		case AMQP, OpenWire:
			if s.row.got[to] == formTextMsg {
				_, text := s.sent.Entries[0].Value.Split()
				return text, nil
			}
			return "", convertEntries(s.sent.Entries, to)
		case STOMP, MQTT3, MQTT5:
		}
		text = jsonOf(s.sent.Entries)
		if s.row.kind == "value" {
			_, text = s.sent.Entries[0].Value.Split()
		}
		if to == MQTT3 {
			text = hex.EncodeToString([]byte(text))
		}
		return text, nil
	case "text":
		if to == MQTT3 {
			return hex.EncodeToString([]byte(s.sent.Text)), nil
		}
	}
	return s.sent.Text, nil
}

// propertiesFor are the properties that arrive; the broker adds one of an MQTT
// publisher.
func propertiesFor(list []Entry, from, to Family, durable bool) []Entry {
	out := slices.Clip(list)
	if from == MQTT3 || from == MQTT5 {
		qos := Value("int:0")
		if durable {
			qos = "int:1"
		}
		if to != MQTT3 && to != MQTT5 {
			out = append(out, Entry{"ActiveMQ.MQTT.QoS", qos})
		}
	}
	if to == MQTT3 {
		return nil
	}
	if to == STOMP { // there it says how the body is written
		out = slices.DeleteFunc(slices.Clone(out), func(e Entry) bool { return e.Name == "transformation" })
	}
	return convertEntries(out, to)
}
