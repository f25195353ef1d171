package amqp

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Message and correlation ids have four types in AMQP and are text elsewhere.
// What isn't a string gets a prefix that tells its type, so that it comes back
// as what it was (ActiveMQ, Qpid JMS).
const (
	idUUID   = "AMQP_UUID:"
	idUlong  = "AMQP_ULONG:"
	idBinary = "AMQP_BINARY:"
	idString = "AMQP_STRING:" // a string that looks like one of the others
	idNone   = "AMQP_NO_PREFIX:"
	jmsID    = "ID:" // Qpid JMS puts it before the prefixes
)

// idText returns an id as text. A string is itself and not copied.
func idText(v message.Value) string {
	switch v.Type() {
	case message.TypeString:
		s, _ := v.Text()
		if len(s) > 0 && s[0] == 'A' && looksEncoded(s) {
			return idString + s
		}
		return s
	case message.TypeUint64, message.TypeUint32, message.TypeUint16, message.TypeUint8:
		return idUlong + v.String()
	case message.TypeUUID:
		return idUUID + v.String()
	case message.TypeBinary:
		p, _ := v.Binary()
		return idBinary + strings.ToUpper(hex.EncodeToString(p))
	}
	return ""
}

func looksEncoded(s string) bool {
	return strings.HasPrefix(s, idUUID) || strings.HasPrefix(s, idUlong) || strings.HasPrefix(s, idBinary) || strings.HasPrefix(s, idString)
}

// idValue is idText's inverse. Text of other origin is a string.
func idValue(s string) message.Value {
	text := strings.TrimPrefix(s, jmsID)
	if v, ok := encodedID(text); ok {
		return v
	}
	return message.StringValue(s)
}

func encodedID(s string) (message.Value, bool) {
	if text, ok := strings.CutPrefix(s, idString); ok {
		return message.StringValue(text), true
	}
	if text, ok := strings.CutPrefix(s, idNone); ok {
		return message.StringValue(text), true
	}
	if text, ok := strings.CutPrefix(s, idUlong); ok {
		n, err := strconv.ParseUint(text, 10, 64)
		return message.Uint64Value(n), err == nil
	}
	if text, ok := strings.CutPrefix(s, idUUID); ok {
		p, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err == nil && len(p) == 16 {
			return message.UUIDValue([16]byte(p)), true
		}
	}
	if text, ok := strings.CutPrefix(s, idBinary); ok {
		p, err := hex.DecodeString(text)
		return message.BinaryValue(p), err == nil
	}
	return message.Null(), false
}
