package openwire

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// maxInflated is the most bytes that a compressed body may become.
const maxInflated = 100 << 20

var errInflated = fmt.Errorf("the compressed body is larger than %d bytes", maxInflated)

// Converter reads messages of message.EncodingOpenWire for selectors,
// consumers of other protocols and the console.
type Converter struct{}

var _ message.Converter = Converter{}

// View implements message.Converter.
func (Converter) View(m *message.Message) (*message.View, error) {
	p, err := parsePayload(m.Payload())
	if err != nil {
		return nil, err
	}
	return view(&p)
}

// ReadMessage returns what is in a message that a client got: its body and its
// properties.
func ReadMessage(m wire.Message) (*message.View, error) {
	f := m.Fields()
	p := payload{kind: m.StructureType(), properties: f.MarshalledProperties, content: f.Content}
	if f.Compressed {
		p.flags |= flagCompressed
	}
	return view(&p)
}

// MessageName returns a message's id as JMS shows it.
func MessageName(x *wire.MessageID) string {
	switch {
	case x == nil:
		return ""
	case !x.TextView.IsNull():
		return x.TextView.String()
	case x.ProducerID == nil:
		return ""
	}
	p := x.ProducerID
	return string(id{p.ConnectionID.String(), p.Value, p.SessionID, x.ProducerSequenceID}.appendText(nil))
}

func view(p *payload) (*message.View, error) {
	v := &message.View{}
	var err error
	if p.properties != nil {
		if v.Properties, err = wire.ReadMap(p.properties); err != nil {
			return nil, fmt.Errorf("properties: %w", err)
		}
	}
	content := p.content
	if p.flags&flagCompressed != 0 {
		if content, err = inflate(p); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	if v.Body, err = body(p.kind, content); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return v, nil
}

func body(kind wire.Type, content []byte) (message.Body, error) {
	switch kind {
	case wire.TypeActiveMQTextMessage:
		text, ok, err := wire.ReadText(content)
		if !ok && content != nil || err != nil {
			return message.Body{}, err
		}
		return message.TextBody(text), nil
	case wire.TypeActiveMQBytesMessage:
		return message.BytesBody(content), nil
	case wire.TypeActiveMQMapMessage:
		return mapBody(content)
	case wire.TypeActiveMQStreamMessage:
		list, err := wire.ReadStream(content)
		return message.StreamBody(list), err
	case wire.TypeActiveMQObjectMessage:
		return message.ObjectBody(content), nil
	default:
		return message.Body{}, nil
	}
}

func mapBody(content []byte) (message.Body, error) {
	if content == nil {
		return message.MapBody(nil), nil
	}
	list, err := wire.ReadMap(content)
	if err != nil {
		return message.Body{}, err
	}
	entries := make([]message.MapEntry, len(list))
	for i, p := range list {
		entries[i] = message.MapEntry{Key: message.StringValue(p.Name), Value: p.Value}
	}
	return message.MapBody(entries), nil
}

// inflate returns the content of a compressed message as it was before. Of a
// BytesMessage only the length that stands in front counts: Java compresses
// all of its buffer.
func inflate(p *payload) ([]byte, error) {
	content, limit := p.content, maxInflated
	if len(content) == 0 {
		return content, nil
	}
	if p.kind == wire.TypeActiveMQBytesMessage {
		n, rest, ok := uncompressedLength(content)
		if !ok || n > maxInflated {
			return nil, errInflated
		}
		content, limit = rest, int(n)
	}
	z, err := zlib.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	out, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	switch {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, err
	case len(out) <= limit:
		return out, nil
	case p.kind == wire.TypeActiveMQBytesMessage:
		return out[:limit], nil
	}
	return nil, errInflated
}
