package matrix

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
)

// Family is what has its own form of a message. MQTT 3 is one of its own: it
// has nothing but a payload.
type Family string

// The families.
const (
	STOMP    Family = "STOMP"
	MQTT3    Family = "MQTT 3"
	MQTT5    Family = "MQTT 5"
	AMQP     Family = "AMQP"
	OpenWire Family = "OpenWire"
)

// Families are all of them, in the order of the tables' columns.
var Families = []Family{STOMP, MQTT3, MQTT5, AMQP, OpenWire}

// typeRow says what a value of a type becomes.
type typeRow struct {
	name     string // AMQP's word, or JMS's
	example  string
	text     string // what STOMP and MQTT see of the example as a property
	openWire string // the type there
	amqp     string
	jms      bool // OpenWire has it too; the others only AMQP has
	property bool // may be a property; the others stand in bodies only
}

var types = []typeRow{
	{"bool", "true", "true", "bool", "bool", true, true},
	{"byte", "-1", "-1", "byte", "byte", true, true},
	{"short", "-2", "-2", "short", "short", true, true},
	{"int", "-70000", "-70000", "int", "int", true, true},
	{"long", "-5000000000", "-5000000000", "long", "long", true, true},
	{"float", "0.5", "0.5", "float", "float", true, true},
	{"double", "-2.5", "-2.5", "double", "double", true, true},
	{"string", "é: \\ 中", "é: \\ 中", "string", "string", true, true},
	{"binary", "00ff", "00ff", "binary", "binary", true, false},
	{"ubyte", "200", "200", "short", "ubyte", false, true},
	{"ushort", "60000", "60000", "int", "ushort", false, true},
	{"uint", "4000000000", "4000000000", "long", "uint", false, true},
	{"ulong", "9", "9", "long", "ulong", false, true},
	{"timestamp", "1700000000000", "1700000000000", "long", "timestamp", false, true},
	{"uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001", "string", "uuid", false, true},
	{"symbol", "sym", "sym", "string", "symbol", false, true},
}

func typeOf(v Value) typeRow {
	kind, _ := v.Split()
	for _, row := range types {
		if row.name == kind {
			return row
		}
	}
	panic("matrix: no type " + kind)
}

// propertiesOf are the properties that a client of a family can send.
func propertiesOf(f Family) (out []Entry) {
	for _, row := range types {
		switch {
		case f == MQTT3:
		case !row.property:
		case f == AMQP, f == OpenWire && row.jms:
			out = append(out, Entry{"p_" + row.name, Value(row.name + ":" + row.example)})
		case row.name == "string":
			out = append(out, Entry{"p_" + row.name, Value(row.name + ":" + row.example)})
		}
	}
	return out
}

// entriesOf are entries of maps and lists that a client of a family can send.
func entriesOf(f Family, named bool) (out []Entry) {
	for _, row := range types {
		if row.jms || f == AMQP {
			e := Entry{"", Value(row.name + ":" + row.example)}
			if named {
				e.Name = "k_" + row.name
			}
			out = append(out, e)
		}
	}
	return out
}

// arrives returns what becomes of a property or an entry.
func (v Value) arrives(to Family) Value {
	row := typeOf(v)
	_, text := v.Split()
	switch to {
	case AMQP:
		return Value(row.amqp + ":" + text)
	case OpenWire:
		return Value(row.openWire + ":" + text)
	case STOMP, MQTT3, MQTT5:
	}
	if text == row.example {
		text = row.text
	}
	return Value("string:" + text)
}

func convertEntries(list []Entry, to Family) []Entry {
	var out []Entry
	for _, e := range list {
		out = append(out, Entry{e.Name, e.Value.arrives(to)})
	}
	return out
}

// jsonOf writes entries as the broker writes maps and lists for those who
// have none.
func jsonOf(list []Entry) string {
	named := len(list) > 0 && list[0].Name != ""
	object, array := map[string]any{}, []any{}
	for _, e := range list {
		object[e.Name] = plain(e.Value)
		array = append(array, plain(e.Value))
	}
	var text []byte
	if named {
		text, _ = json.Marshal(object)
	} else {
		text, _ = json.Marshal(array)
	}
	return string(text)
}

func plain(v Value) any {
	switch kind, text := v.Split(); kind {
	case "string", "symbol", "uuid":
		return text
	case "bool":
		return text == "true"
	case "binary":
		raw, _ := hex.DecodeString(text)
		return base64.StdEncoding.EncodeToString(raw)
	default:
		return json.Number(text)
	}
}
