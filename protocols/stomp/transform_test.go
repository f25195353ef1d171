package stomp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

func entry(key string, v message.Value) message.MapEntry {
	return message.MapEntry{Key: message.StringValue(key), Value: v}
}

var transformedMap = []message.MapEntry{
	entry("name", message.StringValue("Ann <&> Bob")), entry("yes", message.BoolValue(true)), entry("b", message.Int8Value(-1)),
	entry("s", message.Int16Value(2)), entry("size", message.Int32Value(5)), entry("l", message.Int64Value(1<<40)),
	entry("f", message.FloatValue(0.5)), entry("d", message.DoubleValue(2.5)), entry("c", message.CharValue('x')),
	entry("bytes", message.BinaryValue([]byte{1, 2})), entry("none", message.Null()),
}

func sameEntries(a, b []message.MapEntry) bool {
	return message.MapValue(a).Equal(message.MapValue(b))
}

func TestMapsAreWrittenAsXStreamDoes(t *testing.T) {
	two := []message.MapEntry{entry("name", message.StringValue("Dejan")), entry("size", message.Int32Value(5))}
	for _, tt := range []struct {
		t    transformation
		want string
	}{
		{transformMapJSON, `{"map":{"entry":[{"string":["name","Dejan"]},{"string":"size","int":5}]}}`},
		{transformMapXML, "<map>\n  <entry>\n    <string>name</string>\n    <string>Dejan</string>\n  </entry>\n" +
			"  <entry>\n    <string>size</string>\n    <int>5</int>\n  </entry>\n</map>"},
	} {
		if got := string(tt.t.encode(two)); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.t.ofMaps(), got, tt.want)
		}
		back, err := tt.t.parse(tt.t.encode(transformedMap))
		if err != nil || !sameEntries(back, transformedMap) {
			t.Errorf("%s comes back as %v, %v", tt.t.ofMaps(), back, err)
		}
	}
	if got, err := transformMapJSON.parse([]byte(`{"map":{"entry":{"string":["a","b"]}}}`)); err != nil || len(got) != 1 {
		t.Errorf("a single entry: %v, %v", got, err)
	}
}

func TestBodiesThatAreNoMaps(t *testing.T) {
	for _, tt := range []struct {
		t    transformation
		body string
	}{
		{transformMapJSON, ""},
		{transformMapJSON, "{}"},
		{transformMapJSON, `{"map":{"entry":[{}]}}`},
		{transformMapJSON, `{"map":{}} x`},
		{transformMapJSON, `{"map":{"entry":[{"string":"a","int":"x"}]}}`},
		{transformMapJSON, `{"map":{"entry":[{"string":"a","pojo":{}}]}}`},
		{transformMapJSON, `{"map":{"entry":7}}`},
		{transformMapJSON, `{"map":{"entry":[{"string":"a","byte":300}]}}`},
		{transformMapXML, ""},
		{transformMapXML, "<pojo/>"},
		{transformMapXML, "<map><entry><string>a</string></entry></map>"},
		{transformMapXML, "<map><entry><string>a</string><int>x</int></entry></map>"},
		{transformMapXML, "<map><entry>"},
		{transformMapXML, "<map>" + strings.Repeat("<entry><string>a</string><null/></entry>", maxMapEntries+1) + "</map>"},
	} {
		if got, err := tt.t.parse([]byte(tt.body)); err == nil {
			t.Errorf("%s: %.60q is read as %v", tt.t.ofMaps(), tt.body, got)
		}
	}
}

func TestMapsAreSentAndReceivedTransformed(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"jms-map-json", `{"map":{"entry":[{"string":["name","Dejan"]},{"string":["city","Belgrade"]}]}}`},
		{"JMS-XML", "<map>\n  <entry>\n    <string>name</string>\n    <string>Dejan</string>\n  </entry>\n" +
			"  <entry>\n    <string>city</string>\n    <string>Belgrade</string>\n  </entry>\n</map>"},
	} {
		r := newRig(t, nil)
		c, p := r.connect(v12), r.connect(v12)
		c.do("SUBSCRIBE", "id:plain", "destination:/topic/t")
		d := r.connect(v12)
		d.do("SUBSCRIBE", "id:same", "destination:/topic/t", "transformation:"+tt.name)
		p.do("SEND", "destination:/topic/t", "transformation:"+tt.name, "kept:yes", "\n"+tt.body)
		if f := c.message(`{"name":"Dejan","city":"Belgrade"}`); f.get("content-type") != "application/json" || f.get("kept") != "yes" {
			t.Errorf("%v", f)
		}
		if f := d.message(tt.body); f.get("transformation") == "" {
			t.Errorf("%v", f)
		}
		p.do("SEND", "destination:/topic/t", "transformation:"+tt.name, "\nno map")
		if f := c.message("no map"); f.get("transformation-error") == "" {
			t.Errorf("%v", f)
		}
	}
}

// FuzzTransformation: what is read is written and read the same again.
func FuzzTransformation(f *testing.F) {
	for _, t := range []transformation{transformMapJSON, transformMapXML} {
		f.Add(uint8(t), t.encode(transformedMap))
	}
	f.Add(uint8(transformMapJSON), []byte(`{"map":{"entry":{"string":["a","b"]}}}`))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		tr := transformation(kind%2) + transformMapJSON
		entries, err := tr.parse(body)
		if err != nil {
			return
		}
		once := tr.encode(entries)
		again, err := tr.parse(once)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", body, once, err)
		}
		if twice := tr.encode(again); !bytes.Equal(once, twice) {
			t.Fatalf("%q, then %q", once, twice)
		}
	})
}

func TestObjectsAreNotRead(t *testing.T) {
	e := message.Envelope{Destination: message.Queue("a")}
	m := message.NewView(&e, &message.View{Body: message.Body{Kind: message.BodyObject, Data: []byte("\xac\xed\x00\x05")}})
	r := newRig(t, nil)
	c := newConn(r.front, &protocols.Conn{})
	for name, refused := range map[string]bool{"jms-object-json": true, "jms-object-xml": true, "jms-json": true, "jms-xml": true, "jms-map-json": false, "": false} {
		v, err := m.View(message.Converters{message.EncodingHub: message.Hub{}})
		if err != nil {
			t.Fatal(err)
		}
		head, body := c.appendView(nil, m, v, parseTransformation(name))
		if string(body) != "\xac\xed\x00\x05" || strings.Contains(string(head), "transformation-error:objects are not read") != refused ||
			!strings.Contains(string(head), "content-type:application/x-java-serialized-object\n") {
			t.Errorf("%s: %q, %q", name, head, body)
		}
	}
}

func FuzzXMLOfAdvisories(f *testing.F) {
	for _, doc := range []string{`{"ConsumerInfo":{"a":"<","n":1.5,"no":null,"all":[1,{"x":true}]}}`, `{}`, `[]`, `{"a":[[]]}`, `{"a":1} 2`} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, err := xmlOfJSON(doc)
		if len(out) > maxAdvisory+10*len(doc) || err == nil && !json.Valid(doc) {
			t.Errorf("%d bytes of %d, %v", len(out), len(doc), err)
		}
	})
}
