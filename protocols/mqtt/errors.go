package mqtt

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// fault is why a packet was not carried out. On a connection of MQTT 5 its
// reason goes to the client, on an older one the connection is closed.
type fault struct {
	reason reason
	text   string // in words for the client's user
	// reference is another server to go to, if there is one.
	reference string
}

// Error implements error.
func (f *fault) Error() string { return f.text }

func faultf(r reason, format string, args ...any) *fault {
	return &fault{reason: r, text: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *fault { return faultf(malformedPacket, format, args...) }

func violation(format string, args ...any) *fault { return faultf(protocolError, format, args...) }

// toFault puts an error of the broker into MQTT's words.
func toFault(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	code := broker.CodeOf(err)
	f := &fault{reason: reasonOf(code), text: err.Error()}
	if code == broker.CodeInternal {
		f.text = "internal error of the broker" // the details are in its log
	}
	return f
}

// reasonOf returns the reason code for what the broker says of an operation.
func reasonOf(c broker.Code) reason {
	switch c {
	case broker.CodeInternal:
		return unspecifiedError
	case broker.CodeInvalid:
		return topicNameInvalid
	case broker.CodeNotFound:
		return implementationError
	case broker.CodeExists:
		return badClientID
	case broker.CodeInUse:
		return sessionTakenOver
	case broker.CodeUnauthorized:
		return badUserNameOrPassword
	case broker.CodeForbidden:
		return notAuthorized
	case broker.CodeLimit, broker.CodeFull:
		return quotaExceeded
	case broker.CodeTooLarge:
		return packetTooLarge
	case broker.CodeState:
		return implementationError
	case broker.CodeUnavailable:
		return serverUnavailable
	case broker.CodeNotSupported:
		return implementationError
	}
	return unspecifiedError
}
