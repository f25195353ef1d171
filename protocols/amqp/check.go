package amqp

// check walks over one value as value would read it, without making it: what
// it lets through has a view. It fails d otherwise.
func (d *decoder) check() { d.checkOf(d.byte(), 0) }

func (d *decoder) checkOf(code byte, depth int) {
	if d.err != nil {
		return
	}
	if d.budget--; d.budget < 0 {
		d.failf("input holds more values than its size allows")
		return
	}
	switch code >> 4 {
	case 4, 5, 6, 7, 8, 9:
		d.checkFixed(code)
		return
	case 0xa, 0xb:
		p := d.variable(code)
		switch code {
		case fmtBinary8, fmtBinary32:
			return
		case fmtString8, fmtString32:
			d.utf8(p)
			return
		case fmtSymbol8, fmtSymbol32:
			d.ascii(p)
			return
		}
	case 0xc, 0xd, 0xe, 0xf, 0:
		if depth >= maxDepth {
			d.fail(errDepth)
			return
		}
		d.checkNested(code, depth+1)
		return
	}
	d.failf("format code %#02x is unknown", code)
}

func (d *decoder) checkFixed(code byte) {
	if code == fmtBool {
		if c := d.byte(); c > 1 && d.err == nil {
			d.failf("boolean is %d", c)
		}
		return
	}
	switch _, ok := elementType(code); {
	case !ok:
		d.failf("format code %#02x is unknown", code)
	default:
		d.take(fixedWidth(code))
	}
}

func (d *decoder) checkNested(code byte, depth int) {
	switch code {
	case fmtDescribed:
		d.checkOf(d.byte(), depth)
		d.checkOf(d.byte(), depth)
		return
	case fmtList8, fmtList32, fmtMap8, fmtMap32, fmtArray8, fmtArray32:
	default:
		d.failf("format code %#02x is unknown", code)
		return
	}
	inner, n := d.compound(code)
	if d.err != nil {
		return
	}
	switch code {
	case fmtArray8, fmtArray32:
		inner.checkArray(n, depth)
	default:
		if code&^0x10 == fmtMap8 && n%2 != 0 {
			inner.failf("map of %d values: a value is missing", n)
		}
		for i := 0; i < n && inner.err == nil; i++ {
			inner.checkOf(inner.byte(), depth)
		}
	}
	inner.done()
	d.budget, d.err = inner.budget, inner.err
}

func (d *decoder) checkArray(n, depth int) {
	code := d.byte()
	for code == fmtDescribed && d.err == nil {
		if depth >= maxDepth {
			d.fail(errDepth)
		}
		d.checkOf(d.byte(), depth)
		depth++
		code = d.byte()
	}
	if _, ok := elementType(code); !ok && d.err == nil {
		d.failf("format code %#02x is unknown", code)
	}
	if n > d.budget {
		d.failf("array of %d elements in %d bytes", n, len(d.b))
	}
	for i := 0; i < n && d.err == nil; i++ {
		d.checkOf(code, depth)
	}
}
