package client

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// NewText makes a text message.
func NewText(text string, properties ...message.Property) *wire.ActiveMQTextMessage {
	m := &wire.ActiveMQTextMessage{}
	m.Content = wire.AppendText(nil, text)
	setUp(m.Fields(), properties)
	return m
}

// NewBytes makes a bytes message, which keeps body.
func NewBytes(body []byte, properties ...message.Property) *wire.ActiveMQBytesMessage {
	m := &wire.ActiveMQBytesMessage{}
	m.Content = body
	setUp(m.Fields(), properties)
	return m
}

func setUp(f *wire.BaseMessage, properties []message.Property) {
	f.Priority = message.DefaultPriority
	if len(properties) > 0 {
		f.MarshalledProperties = wire.AppendMap(nil, properties)
	}
}
