package amqp

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// Error conditions (AMQP 1.0, 2.8.15 to 2.8.18 and 4.5.8).
const (
	errInternal       = "amqp:internal-error"
	errNotFound       = "amqp:not-found"
	errUnauthorized   = "amqp:unauthorized-access"
	errDecode         = "amqp:decode-error"
	errLimit          = "amqp:resource-limit-exceeded"
	errNotAllowed     = "amqp:not-allowed"
	errInvalidField   = "amqp:invalid-field"
	errNotImplemented = "amqp:not-implemented"
	errLocked         = "amqp:resource-locked"
	errPrecondition   = "amqp:precondition-failed"
	errDeleted        = "amqp:resource-deleted"
	errIllegalState   = "amqp:illegal-state"

	errConnectionForced = "amqp:connection:forced"
	errRedirect         = "amqp:connection:redirect"
	errFraming          = "amqp:connection:framing-error"

	errWindow     = "amqp:session:window-violation"
	errErrantLink = "amqp:session:errant-link"
	errHandle     = "amqp:session:handle-in-use"
	errUnattached = "amqp:session:unattached-handle"

	errTransferLimit = "amqp:link:transfer-limit-exceeded"
	errMessageSize   = "amqp:link:message-size-exceeded"
	errStolen        = "amqp:link:stolen"

	errUnknownTxn = "amqp:transaction:unknown-id"
	errRollback   = "amqp:transaction:rollback"
)

// scope is what a fault ends.
type scope uint8

const (
	endsConnection scope = iota
	endsSession
	endsLink
	endsDelivery // it is rejected
)

// fault is an error in AMQP's words.
type fault struct {
	scope     scope
	condition string
	text      string
	field     string // that is invalid, for clients that look for it (ActiveMQ)
	info      message.Value
}

func (f *fault) Error() string { return f.text }

func (f *fault) wire() *condition {
	c := &condition{condition: f.condition, description: f.text, info: f.info}
	if f.field != "" {
		c.info = message.MapValue([]message.MapEntry{{Key: message.SymbolValue("invalid-field"), Value: message.SymbolValue(f.field)}})
	}
	return c
}

func faultf(s scope, name, format string, args ...any) *fault {
	return &fault{scope: s, condition: name, text: fmt.Sprintf(format, args...)}
}

func badConnection(name, format string, args ...any) error {
	return faultf(endsConnection, name, format, args...)
}

func badSession(name, format string, args ...any) error {
	return faultf(endsSession, name, format, args...)
}

func badLink(name, format string, args ...any) error { return faultf(endsLink, name, format, args...) }

// toFault puts an error of the broker into AMQP's words. s is what it ends if
// it doesn't say so itself.
func toFault(err error, s scope) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	code := broker.CodeOf(err)
	f := &fault{scope: s, condition: conditionOf(code), text: err.Error()}
	if code == broker.CodeInternal {
		f.text = "internal error of the broker; its log has the details"
	}
	return f
}

func conditionOf(c broker.Code) string {
	switch c {
	case broker.CodeInternal:
		return errInternal
	case broker.CodeInvalid:
		return errInvalidField
	case broker.CodeNotFound:
		return errNotFound
	case broker.CodeExists:
		return errInvalidField
	case broker.CodeInUse:
		return errLocked
	case broker.CodeUnauthorized, broker.CodeForbidden:
		return errUnauthorized
	case broker.CodeLimit, broker.CodeFull:
		return errLimit
	case broker.CodeTooLarge:
		return errMessageSize
	case broker.CodeState:
		return errIllegalState
	case broker.CodeUnavailable:
		return errConnectionForced
	case broker.CodeNotSupported:
		return errNotImplemented
	}
	return errInternal
}
