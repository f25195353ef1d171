package amqp

import (
	"encoding/binary"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// fields reads the fields of a composite type, one after the other. Fields
// behind the last one that was sent are absent, and so are nulls.
type fields struct {
	decoder
	outer *decoder
	name  string // of the composite, for errors
	n     int    // fields left
}

// fields starts to read the list of a composite type.
func (d *decoder) fields(name string) fields {
	f := fields{outer: d, name: name}
	switch code := d.byte(); code {
	case fmtList0:
	case fmtList8, fmtList32:
		f.decoder, f.n = d.compound(code)
		if f.n > len(f.b) && d.err == nil {
			d.failf("%s announces %d fields in %d bytes", name, f.n, len(f.b))
		}
	default:
		d.failf("%s has format code %#02x, not a list", name, code)
	}
	if d.err != nil {
		f.n = 0
	}
	return f
}

// end says that all fields that the type has were read.
func (f *fields) end() {
	if f.err == nil && f.outer.err == nil && (f.n > 0 || len(f.b) > 0) {
		f.failf("%s has more fields or bytes than its type", f.name)
	}
	if f.err != nil {
		f.outer.fail(f.err)
	}
}

// next returns the constructor of the next field, false if it is absent.
func (f *fields) next() (code byte, ok bool) {
	if f.n == 0 {
		return fmtNull, false
	}
	f.n--
	code = f.byte()
	return code, code != fmtNull && f.err == nil
}

// need fails if the next field is absent.
func (f *fields) need(name string) {
	if f.err == nil && f.outer.err == nil && (f.n == 0 || len(f.b) > 0 && f.b[0] == fmtNull) {
		f.outer.failf("%s lacks its mandatory field %s", f.name, name)
	}
}

func (f *fields) wrong(code byte, want string) {
	f.failf("a field of %s has format code %#02x, want %s", f.name, code, want)
}

func (f *fields) boolIf() (b, ok bool) {
	code, ok := f.next()
	if !ok {
		return false, false
	}
	switch code {
	case fmtTrue:
		return true, true
	case fmtFalse:
		return false, true
	case fmtBool:
		c := f.byte()
		if c > 1 && f.err == nil {
			f.failf("boolean of %s is %d", f.name, c)
		}
		return c == 1, true
	}
	f.wrong(code, "boolean")
	return false, false
}

func (f *fields) bool() bool {
	b, _ := f.boolIf()
	return b
}

// unsigned reads an integer of at most width bytes, in its own type's codes.
func (f *fields) unsigned(want string, codes ...byte) (n uint64, ok bool) {
	code, ok := f.next()
	if !ok {
		return 0, false
	}
	if slices.Contains(codes, code) {
		return f.uint64Of(code)
	}
	f.wrong(code, want)
	return 0, false
}

func (f *fields) ubyteIf() (uint8, bool) {
	n, ok := f.unsigned("ubyte", fmtUbyte)
	return uint8(n), ok
}

func (f *fields) ubyteOr(def uint8) uint8 {
	if n, ok := f.ubyteIf(); ok {
		return n
	}
	return def
}

func (f *fields) ubyte() uint8 { return f.ubyteOr(0) }

func (f *fields) ushortIf() (uint16, bool) {
	n, ok := f.unsigned("ushort", fmtUshort)
	return uint16(n), ok
}

func (f *fields) ushortOr(def uint16) uint16 {
	if n, ok := f.ushortIf(); ok {
		return n
	}
	return def
}

func (f *fields) uintIf() (uint32, bool) {
	code, ok := f.next()
	if !ok {
		return 0, false
	}
	switch code {
	case fmtUint0:
		return 0, true
	case fmtSmallUint:
		if p := f.take(1); p != nil {
			return uint32(p[0]), true
		}
	case fmtUint:
		if p := f.take(4); p != nil {
			return binary.BigEndian.Uint32(p), true
		}
	default:
		f.wrong(code, "uint")
	}
	return 0, false
}

func (f *fields) uintOr(def uint32) uint32 {
	if n, ok := f.uintIf(); ok {
		return n
	}
	return def
}

func (f *fields) uint() uint32 { return f.uintOr(0) }

func (f *fields) ulongOr(def uint64) uint64 {
	if n, ok := f.unsigned("ulong", fmtUlong0, fmtSmallUlong, fmtUlong); ok {
		return n
	}
	return def
}

func (f *fields) timestampIf() (int64, bool) {
	code, ok := f.next()
	if !ok {
		return 0, false
	}
	if code != fmtTimestamp {
		f.wrong(code, "timestamp")
		return 0, false
	}
	if p := f.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p)), true
	}
	return 0, false
}

func (f *fields) string() string {
	switch code, ok := f.next(); {
	case !ok:
	case code == fmtString8 || code == fmtString32:
		return f.utf8(f.variable(code))
	default:
		f.wrong(code, "string")
	}
	return ""
}

func (f *fields) symbol() string {
	switch code, ok := f.next(); {
	case !ok:
	case code == fmtSymbol8 || code == fmtSymbol32:
		return f.ascii(f.variable(code))
	default:
		f.wrong(code, "symbol")
	}
	return ""
}

func (f *fields) symbolOr(def string) string {
	if s := f.symbol(); s != "" {
		return s
	}
	return def
}

// binary returns nil for an absent field only.
func (f *fields) binary() []byte {
	switch code, ok := f.next(); {
	case !ok:
	case code == fmtBinary8 || code == fmtBinary32:
		return f.variable(code)
	default:
		f.wrong(code, "binary")
	}
	return nil
}

// symbols reads one symbol, or an array of them (AMQP 1.0, 1.3: multiple).
func (f *fields) symbols() []string {
	v := f.any()
	if s, ok := v.Text(); ok && v.Type() == message.TypeSymbol {
		return []string{s}
	}
	list, ok := v.List()
	if v.IsNull() || ok && v.Type() == message.TypeArray && v.ElementType() == message.TypeSymbol {
		out := make([]string, len(list))
		for i := range list {
			out[i], _ = list[i].Text()
		}
		return out
	}
	if f.err == nil {
		f.failf("a field of %s is a %v, want symbols", f.name, v.Type())
	}
	return nil
}

// any reads a value of any type.
func (f *fields) any() message.Value {
	code, ok := f.next()
	if !ok {
		return message.Null()
	}
	return f.valueOf(code, 0)
}

// dict reads a map.
func (f *fields) dict() message.Value {
	v := f.any()
	if v.Type() != message.TypeMap && !v.IsNull() && f.err == nil {
		f.failf("a field of %s is a %v, want a map", f.name, v.Type())
	}
	return v
}

// composite returns the descriptor of a field that is a composite type.
func (f *fields) composite() (code uint64, ok bool) {
	c, ok := f.next()
	if !ok {
		return 0, false
	}
	if c != fmtDescribed {
		f.wrong(c, "a described type")
		return 0, false
	}
	return f.descriptorCode(), f.err == nil
}

func (f *fields) condition() *condition {
	code, ok := f.composite()
	if !ok {
		return nil
	}
	if code != codeCondition {
		f.failf("error of %s has descriptor %#x", f.name, code)
		return nil
	}
	c := new(condition)
	c.decode(&f.decoder)
	return c
}

func (f *fields) source() *source {
	code, ok := f.composite()
	if !ok {
		return nil
	}
	if code != codeSource {
		f.failf("source of %s has descriptor %#x", f.name, code)
		return nil
	}
	s := new(source)
	s.decode(&f.decoder)
	return s
}

// terminus is what an attach has as target: a node or the coordinator of
// transactions.
type terminus struct {
	node        *target
	coordinator *coordinator
}

func (t terminus) isNull() bool { return t.node == nil && t.coordinator == nil }

func (f *fields) target() (t terminus) {
	code, ok := f.composite()
	switch {
	case !ok:
	case code == codeTarget:
		t.node = new(target)
		t.node.decode(&f.decoder)
	case code == codeCoordinator:
		t.coordinator = new(coordinator)
		t.coordinator.decode(&f.decoder)
	default:
		f.failf("target of %s has descriptor %#x", f.name, code)
	}
	return t
}
