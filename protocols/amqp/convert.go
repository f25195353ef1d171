package amqp

import (
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Converter reads messages of message.EncodingAMQP for selectors, consumers of
// other protocols and the console. Their payload is what envelopeOf keeps: the
// message as it came, from its annotations on.
type Converter struct{}

var _ message.Converter = Converter{}

// Names of properties for what AMQP has and the envelope has not (ActiveMQ's).
const (
	propEncoding      = "JMS_AMQP_ContentEncoding"
	propReplyToGroup  = "JMS_AMQP_ReplyToGroupID"
	propAnnotation    = "JMS_AMQP_MA_"
	propFooter        = "JMS_AMQP_FT_"
	javaSerialized    = "application/x-java-serialized-object"
	annotationPrivate = "x-opt-jms-"
)

// View implements message.Converter.
func (Converter) View(m *message.Message) (*message.View, error) {
	d := newDecoder(m.Payload())
	b := builder{contentType: m.ContentType, msgType: -1}
	for {
		s, ok := d.nextSection()
		if !ok {
			break
		}
		if err := b.add(s); err != nil {
			return nil, err
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	v := &message.View{Properties: b.properties, Body: b.body()}
	return v, nil
}

// builder collects a view section by section.
type builder struct {
	contentType string
	msgType     int64 // x-opt-jms-msg-type, -1 without
	properties  []message.Property

	kind  uint64 // of the body's sections
	data  []byte
	list  []message.Value
	value message.Value
	ends  []int // of sections in data or list
}

func (b *builder) add(s section) error {
	d := newDecoder(s.content)
	switch s.code {
	case codeMessageAnnotations:
		b.annotations(d.value())
	case codeProperties:
		var p properties
		p.decode(&d)
		b.addText(propEncoding, p.contentEncoding)
		b.addText(propReplyToGroup, p.replyToGroupID)
	case codeApplicationProperties:
		entries, _ := d.value().Map()
		for _, e := range entries {
			b.properties = append(b.properties, message.Property{Name: e.Key.String(), Value: e.Value})
		}
	case codeFooter:
		entries, _ := d.value().Map()
		for _, e := range entries {
			b.properties = append(b.properties, message.Property{Name: propFooter + e.Key.String(), Value: e.Value})
		}
	case codeData, codeSequence, codeValue:
		b.kind = s.code
		b.addBody(d.value())
	}
	return d.err
}

func (b *builder) addText(name, text string) {
	if text != "" {
		b.properties = append(b.properties, message.Property{Name: name, Value: message.StringValue(text)})
	}
}

// annotations become properties, but for those that the broker has acted on.
func (b *builder) annotations(v message.Value) {
	entries, _ := v.Map()
	for _, e := range entries {
		name := e.Key.String()
		if name == annotationMsgType {
			if n, ok := e.Value.Int64(); ok {
				b.msgType = n
			}
		}
		if strings.HasPrefix(name, annotationPrivate) || isScheduleAnnotation(name) {
			continue
		}
		b.properties = append(b.properties, message.Property{Name: propAnnotation + name, Value: e.Value})
	}
}

func (b *builder) addBody(v message.Value) {
	switch b.kind {
	case codeData:
		p, _ := v.Binary()
		if b.ends == nil {
			b.data = p
		} else {
			b.data = append(slices.Clip(b.data), p...)
		}
		b.ends = append(b.ends, len(b.data))
	case codeSequence:
		list, _ := v.List()
		if b.ends == nil {
			b.list = list
		} else {
			b.list = append(slices.Clip(b.list), list...)
		}
		b.ends = append(b.ends, len(b.list))
	default:
		b.value = v
	}
}

func (b *builder) body() message.Body {
	var body message.Body
	switch b.kind {
	case codeData:
		body = b.dataBody()
	case codeSequence:
		body = message.StreamBody(b.list)
	default:
		return b.valueBody()
	}
	if len(b.ends) > 1 && (body.Kind == message.BodyBytes || body.Kind == message.BodyStream) {
		body.Sections = b.ends
	}
	return body
}

// dataBody is text if its content type says so, as for ActiveMQ's JMS clients.
func (b *builder) dataBody() message.Body {
	switch {
	case b.contentType == javaSerialized:
		return message.ObjectBody(b.data)
	case len(b.ends) == 1 && isText(b.contentType) && utf8.Valid(b.data):
		return message.TextBody(alias(b.data))
	case len(b.data) == 0 && b.contentType == "" && b.msgType == jmsMessage:
		return message.Body{}
	}
	return message.BytesBody(b.data)
}

func (b *builder) valueBody() message.Body {
	switch b.value.Type() {
	case message.TypeNull:
		return b.nullBody()
	case message.TypeString:
		s, _ := b.value.Text()
		return message.TextBody(s)
	case message.TypeBinary:
		p, _ := b.value.Binary()
		if b.contentType == javaSerialized {
			return message.ObjectBody(p)
		}
		return message.BytesBody(p)
	case message.TypeMap:
		entries, _ := b.value.Map()
		return message.MapBody(entries)
	case message.TypeList:
		list, _ := b.value.List()
		return message.StreamBody(list)
	}
	return message.ValueBody(b.value)
}

// nullBody is what a JMS client says that an empty message is.
func (b *builder) nullBody() message.Body {
	switch {
	case b.msgType == jmsText || b.msgType < 0 && isText(b.contentType):
		return message.TextBody("")
	case b.msgType == jmsBytes:
		return message.BytesBody(nil)
	case b.msgType == jmsMap:
		return message.MapBody(nil)
	case b.msgType == jmsStream:
		return message.StreamBody(nil)
	case b.msgType == jmsObject:
		return message.ObjectBody(nil)
	}
	return message.Body{}
}

// isText reports whether a media type is text in UTF-8 (or ASCII).
func isText(contentType string) bool {
	if contentType == "" {
		return false
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8", "us-ascii":
	default:
		return false
	}
	_, sub, _ := strings.Cut(media, "/")
	switch {
	case strings.HasPrefix(media, "text/"):
		return true
	case strings.HasSuffix(sub, "+xml"), strings.HasSuffix(sub, "+json"), strings.HasSuffix(sub, "+yaml"):
		return true
	}
	switch sub {
	case "xml", "xml-dtd", "json", "javascript", "ecmascript", "yaml":
		return strings.HasPrefix(media, "application/")
	}
	return false
}

// unreadable is what a consumer gets of a message whose content can't be read:
// that it was there, and why it is empty.
func unreadable(err error) *message.View {
	return &message.View{Properties: []message.Property{{
		Name: "transformation-error", Value: message.StringValue(fmt.Sprint(err)),
	}}}
}
