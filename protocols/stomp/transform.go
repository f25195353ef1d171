package stomp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// transformation is how a map, or an advisory, is written in a body, as
// ActiveMQ's header of that name says. The shapes of maps are those of XStream,
// which its clients know:
//
//	<map><entry><string>size</string><int>5</int></entry></map>
//	{"map":{"entry":[{"string":"size","int":5}]}}
//
// where two values of one type become a list: {"string":["name","Ann"]}.
type transformation uint8

const (
	transformNone transformation = iota
	transformMapJSON
	transformMapXML
	transformJSON // of what it is: a map, an object, an advisory
	transformXML
	transformObject // never done: objects are opaque
	transformAdvisoryXML
)

// parseTransformation reads the header. Advisories are JSON without being asked.
func parseTransformation(name string) transformation {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "jms-map-json":
		return transformMapJSON
	case "jms-map-xml":
		return transformMapXML
	case "jms-json":
		return transformJSON
	case "jms-xml":
		return transformXML
	case "jms-object-json", "jms-object-xml":
		return transformObject
	case "jms-advisory-xml":
		return transformAdvisoryXML
	}
	return transformNone
}

func (t transformation) maps() bool {
	return t == transformMapJSON || t == transformMapXML || t == transformJSON || t == transformXML
}

func (t transformation) objects() bool {
	return t == transformObject || t == transformJSON || t == transformXML
}

func (t transformation) advisories() bool { return t == transformAdvisoryXML || t == transformXML }

// ofMaps is the header's value with a map.
func (t transformation) ofMaps() string {
	if t.xml() {
		return "jms-map-xml"
	}
	return "jms-map-json"
}

func (t transformation) xml() bool { return t == transformMapXML || t == transformXML }

var errObject = errors.New("objects are not read: the body is what its sender serialised")

var errTransform = errors.New("the body is not a map as the transformation writes it")

// maxMapEntries bounds what a body is read into.
const maxMapEntries = 10_000

// typed returns XStream's name of a value's type, and its text.
func typed(v message.Value) (name, text string) {
	switch v.Type() { // the others have a text
	case message.TypeNull:
		return "null", ""
	case message.TypeBool:
		return "boolean", v.String()
	case message.TypeInt8:
		return "byte", v.String()
	case message.TypeInt16:
		return "short", v.String()
	case message.TypeInt32:
		return "int", v.String()
	case message.TypeInt64:
		return "long", v.String()
	case message.TypeFloat:
		return "float", v.String()
	case message.TypeDouble:
		return "double", v.String()
	case message.TypeChar:
		return "char", v.String()
	}
	if p, ok := v.Binary(); ok {
		return "byte-array", base64.StdEncoding.EncodeToString(p)
	}
	return "string", v.String()
}

// untyped is the inverse of typed.
func untyped(name, text string) (message.Value, error) {
	var n int64
	var f float64
	var err error
	number := func(bits int) bool { n, err = strconv.ParseInt(strings.TrimSpace(text), 10, bits); return err == nil }
	switch {
	case name == "string":
		return message.StringValue(text), nil
	case name == "null":
		return message.Null(), nil
	case name == "boolean" && (text == "true" || text == "false"):
		return message.BoolValue(text == "true"), nil
	case name == "byte" && number(8):
		return message.Int8Value(int8(n)), nil
	case name == "short" && number(16):
		return message.Int16Value(int16(n)), nil
	case name == "int" && number(32):
		return message.Int32Value(int32(n)), nil
	case name == "long" && number(64):
		return message.Int64Value(n), nil
	case name == "float":
		if f, err = strconv.ParseFloat(text, 32); err == nil {
			return message.FloatValue(float32(f)), nil
		}
	case name == "double":
		if f, err = strconv.ParseFloat(text, 64); err == nil {
			return message.DoubleValue(f), nil
		}
	case name == "char" && len([]rune(text)) == 1:
		return message.CharValue([]rune(text)[0]), nil
	case name == "byte-array":
		if p, err := base64.StdEncoding.DecodeString(text); err == nil {
			return message.BinaryValue(p), nil
		}
	}
	return message.Value{}, fmt.Errorf("%w: %q is no %s", errTransform, clip([]byte(text)), clip([]byte(name)))
}

// encode writes a map.
func (t transformation) encode(entries []message.MapEntry) []byte {
	if t.xml() {
		return appendMapXML(nil, entries)
	}
	b := []byte(`{"map":{"entry":[`)
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		name, text := typed(e.Value)
		key := message.AppendJSON(nil, message.StringValue(e.Key.String()))
		value := message.AppendJSON(nil, message.StringValue(text))
		switch {
		case name == "string":
			b = append(append(append(append(append(b, `{"string":[`...), key...), ','), value...), `]}`...)
			continue
		case name != "char" && name != "byte-array" && json.Valid([]byte(text)):
			value = []byte(text) // a number, true or false
		}
		b = append(append(append(b, `{"string":`...), key...), `,"`...)
		b = append(append(append(append(b, name...), `":`...), value...), '}')
	}
	return append(b, `]}}`...)
}

func appendMapXML(b []byte, entries []message.MapEntry) []byte {
	out := bytes.NewBuffer(append(b, "<map>\n"...))
	element := func(name, text string) {
		out.WriteString("    <" + name + ">")
		_ = xml.EscapeText(out, []byte(text)) // a buffer takes everything
		out.WriteString("</" + name + ">\n")
	}
	for _, e := range entries {
		out.WriteString("  <entry>\n")
		element("string", e.Key.String())
		element(typed(e.Value))
		out.WriteString("  </entry>\n")
	}
	out.WriteString("</map>")
	return out.Bytes()
}

// parse reads a map.
func (t transformation) parse(body []byte) ([]message.MapEntry, error) {
	if t.xml() {
		return parseMapXML(body)
	}
	return parseMapJSON(body)
}

func parseMapXML(body []byte) (entries []message.MapEntry, err error) {
	var doc struct {
		XMLName xml.Name `xml:"map"`
		Entries []struct {
			Values []struct {
				XMLName xml.Name
				Text    string `xml:",chardata"`
			} `xml:",any"`
		} `xml:"entry"`
	}
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errTransform, err)
	}
	if len(doc.Entries) > maxMapEntries {
		return nil, errTransform
	}
	for _, e := range doc.Entries {
		if len(e.Values) != 2 || e.Values[0].XMLName.Local != "string" {
			return nil, errTransform
		}
		v, err := untyped(e.Values[1].XMLName.Local, e.Values[1].Text)
		if err != nil {
			return nil, err
		}
		entries = append(entries, message.MapEntry{Key: message.StringValue(e.Values[0].Text), Value: v})
	}
	return entries, nil
}

func parseMapJSON(body []byte) (entries []message.MapEntry, err error) {
	var doc struct {
		Map *struct {
			Entry json.RawMessage `json:"entry"`
		} `json:"map"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errTransform, err)
	}
	if _, err := d.Token(); err != io.EOF || doc.Map == nil {
		return nil, errTransform
	}
	var list []map[string]json.RawMessage
	if raw := bytes.TrimSpace(doc.Map.Entry); len(raw) > 0 && raw[0] == '{' { // a single entry
		list = make([]map[string]json.RawMessage, 1)
		err = json.Unmarshal(raw, &list[0])
	} else if len(raw) > 0 {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil || len(list) > maxMapEntries {
		return nil, errTransform
	}
	for _, fields := range list {
		e, err := parseEntryJSON(fields)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// parseEntryJSON reads {"string":["key","text"]} or {"string":"key","int":5}.
func parseEntryJSON(fields map[string]json.RawMessage) (e message.MapEntry, err error) {
	var both []string
	if len(fields) == 1 && json.Unmarshal(fields["string"], &both) == nil && len(both) == 2 {
		return message.MapEntry{Key: message.StringValue(both[0]), Value: message.StringValue(both[1])}, nil
	}
	var key string
	if len(fields) != 2 || json.Unmarshal(fields["string"], &key) != nil {
		return e, errTransform
	}
	e.Key = message.StringValue(key)
	for name, raw := range fields {
		if name == "string" {
			continue
		}
		text := string(raw)
		if len(raw) > 0 && raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return e, errTransform
			}
		}
		e.Value, err = untyped(name, text)
	}
	return e, err
}

// transformed returns m, whose body is text, with that text read as a map. If
// it can't be, m stays as it is, and says why.
func (c *conn) transformed(e *message.Envelope, m *message.Message, t transformation) *message.Message {
	v, err := m.View(c.front.opts.Converters)
	if err != nil || v.Body.Kind != message.BodyText {
		return m // bytes are never transformed
	}
	out := &message.View{Properties: v.Properties, Body: v.Body}
	entries, err := t.parse(v.Body.Data)
	if err != nil {
		out.Properties = append(slices.Clip(out.Properties),
			message.Property{Name: "transformation-error", Value: message.StringValue(err.Error())})
	} else {
		out.Body = message.MapBody(entries)
	}
	return message.NewView(e, out)
}
