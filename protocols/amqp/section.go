package amqp

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Descriptors of a message's sections (AMQP 1.0, 3.2). Header and properties
// are composite types of the table.
const (
	codeDeliveryAnnotations   = 0x71
	codeMessageAnnotations    = 0x72
	codeApplicationProperties = 0x74
	codeData                  = 0x75
	codeSequence              = 0x76
	codeValue                 = 0x77
	codeFooter                = 0x78
)

var sectionNames = map[string]uint64{
	"amqp:header:list": codeHeader, "amqp:delivery-annotations:map": codeDeliveryAnnotations,
	"amqp:message-annotations:map": codeMessageAnnotations, "amqp:properties:list": codeProperties,
	"amqp:application-properties:map": codeApplicationProperties, "amqp:data:binary": codeData,
	"amqp:amqp-sequence:list": codeSequence, "amqp:amqp-value:*": codeValue, "amqp:footer:map": codeFooter,
}

var (
	errSections = errors.New("sections of the message are not in their order")
	errEmpty    = errors.New("message has no sections")
)

// sectionCode reads the descriptor of a section.
func (d *decoder) sectionCode() uint64 {
	if d.byte() != fmtDescribed {
		if d.err == nil {
			d.failf("a section of the message is not a described type")
		}
		return 0
	}
	var code uint64
	if len(d.b) > 0 && (d.b[0] == fmtSymbol8 || d.b[0] == fmtSymbol32) {
		code = sectionNames[alias(d.variable(d.byte()))]
	} else {
		code = d.descriptorCode()
	}
	if d.err == nil && (code < codeHeader || code > codeFooter) {
		d.failf("message has a section with an unknown descriptor")
	}
	return code
}

// section is one part of an encoded message.
type section struct {
	code    uint64
	content []byte // behind the descriptor
}

// nextSection returns the next section whose content was checked, or what it
// is wrong with. ok is false at the end.
func (d *decoder) nextSection() (s section, ok bool) {
	if len(d.b) == 0 || d.err != nil {
		return s, false
	}
	s.code = d.sectionCode()
	start := d.b
	switch {
	case d.err != nil:
		return s, false
	case s.code == codeData:
		if c := d.byte(); c == fmtBinary8 || c == fmtBinary32 {
			d.variable(c)
		} else {
			d.failf("data section has format code %#02x, not binary", c)
		}
	default:
		if len(start) > 0 && !sectionTakes(s.code, start[0]) {
			d.failf("section %#x has format code %#02x", s.code, start[0])
		}
		d.check()
	}
	s.content = start[:len(start)-len(d.b)]
	return s, d.err == nil
}

// sectionTakes reports whether a section's content may begin with code.
func sectionTakes(section uint64, code byte) bool {
	switch section {
	case codeHeader, codeProperties, codeSequence:
		return code == fmtList0 || code == fmtList8 || code == fmtList32
	case codeDeliveryAnnotations, codeMessageAnnotations, codeApplicationProperties, codeFooter:
		return code == fmtMap8 || code == fmtMap32
	}
	return true
}

// envelopeOf reads an AMQP message as it came from its publisher. What it sets
// in e points into p. payload is what is kept: everything behind header and
// delivery annotations, which are between two peers only.
func envelopeOf(p []byte, e *message.Envelope, f *ingress) (payload []byte, err error) {
	d := newDecoder(p)
	payload = p
	last, body := uint64(0), uint64(0)
	for {
		s, ok := d.nextSection()
		if !ok {
			break
		}
		isBody := s.code >= codeData && s.code <= codeValue
		switch {
		case isBody && body != 0 && (s.code != body || s.code == codeValue), !isBody && s.code <= last, isBody && last == codeFooter:
			return nil, errSections
		case isBody:
			body = s.code
		default:
			last = s.code
		}
		if body != 0 && !isBody && s.code != codeFooter {
			return nil, errSections
		}
		if err := f.section(e, s); err != nil {
			return nil, err
		}
		if s.code <= codeDeliveryAnnotations {
			payload = d.b
		}
	}
	switch {
	case d.err != nil:
		return nil, d.err
	case len(p) == 0:
		return nil, errEmpty // one without body is an empty message (JMS)
	}
	f.complete(e)
	return payload, nil
}

// ingress is what reading a message needs beside the envelope, and what it
// finds that the envelope doesn't hold.
type ingress struct {
	names   prefixes
	nowMs   int64
	header  header
	props   properties
	replyTo message.Kind // by annotation
	to      message.Kind
}

func (f *ingress) section(e *message.Envelope, s section) error {
	d := newDecoder(s.content)
	switch s.code {
	case codeHeader:
		f.header.decode(&d)
		e.Durable, e.Priority = f.header.durable, min(f.header.priority, message.MaxPriority)
	case codeMessageAnnotations:
		f.annotations(e, &d)
	case codeProperties:
		f.props.decode(&d)
	}
	return d.err
}

// complete fills the envelope from properties and header.
func (f *ingress) complete(e *message.Envelope) {
	p := &f.props
	e.MessageID, e.CorrelationID = idText(p.messageID), idText(p.correlationID)
	e.Type, e.ContentType, e.GroupID = p.subject, p.contentType, p.groupID
	if p.groupSequence.ok {
		e.GroupSeq = int32(p.groupSequence.value)
	}
	if p.creationTime.ok && p.creationTime.value > 0 {
		e.Timestamp = p.creationTime.value
	}
	if reply, ok := p.replyTo.Text(); ok && reply != "" {
		// A reply-to that names nothing here is somebody's own notion of an
		// address: it stays in the message as it is.
		e.ReplyTo, _, _ = f.names.resolve(reply, f.replyTo)
	}
	switch {
	case p.absoluteExpiryTime.ok && p.absoluteExpiryTime.value > 0:
		e.Expiry = p.absoluteExpiryTime.value
	case f.header.ttl.ok && f.header.ttl.value > 0:
		e.Expiry = f.nowMs + int64(f.header.ttl.value)
	}
	e.Redeliveries = f.header.deliveryCount
}

// annotations reads those that the broker acts on.
func (f *ingress) annotations(e *message.Envelope, d *decoder) {
	inner, n := d.compound(d.byte())
	for range n / 2 {
		key := inner.value()
		name, _ := key.Text()
		set, known := annotationsRead[name]
		if !known {
			inner.check()
			continue
		}
		v := inner.value()
		if inner.err == nil {
			if err := set(f, e, v); err != nil {
				inner.fail(fmt.Errorf("annotation %s: %w", name, err))
			}
		}
	}
	if inner.err != nil {
		d.fail(inner.err)
	}
}
