package stomp

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// fault is why a frame was not carried out, in words for the client's user.
type fault struct {
	text   string // what is wrong: the ERROR frame's message header
	advice string // what to do about it: added in the body
	fatal  bool   // the connection ends, because the stream can't be followed or trusted
	vers   bool   // the ERROR frame lists the versions that the server speaks
}

func (f *fault) Error() string { return f.text }

// badFrame is a fault that ends the connection.
func badFrame(advice, format string, args ...any) error {
	return &fault{text: fmt.Sprintf(format, args...), advice: advice, fatal: true}
}

// refuse is a fault after which the connection goes on.
func refuse(advice, format string, args ...any) error {
	return &fault{text: fmt.Sprintf(format, args...), advice: advice}
}

// toFault puts an error of the broker into STOMP's words.
func toFault(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	code := broker.CodeOf(err)
	f := &fault{text: err.Error(), advice: advice(code)}
	if code == broker.CodeInternal {
		f.text = "internal error of the broker" // the details are in its log
	}
	return f
}

// advice says what the client's user can do.
func advice(c broker.Code) string {
	switch c {
	case broker.CodeInternal:
		return "The broker's log has the details."
	case broker.CodeInvalid:
		return "Correct the frame; the message header says what is wrong."
	case broker.CodeNotFound:
		return "Check the name. A delivery can be acknowledged once, on the connection that received it, while it is subscribed."
	case broker.CodeExists:
		return "Choose another client-id or name, or disconnect the client that has it."
	case broker.CodeInUse:
		return "Only one subscriber at a time can use it; unsubscribe the other one first."
	case broker.CodeUnauthorized:
		return "Check the login and passcode headers of CONNECT, or the client's certificate."
	case broker.CodeForbidden:
		return "Ask the operator for the permission on this destination."
	case broker.CodeLimit:
		return "A limit of the broker's configuration is reached; the operator can raise it."
	case broker.CodeFull:
		return "Send again when consumers have made room, or the operator has."
	case broker.CodeTooLarge:
		return "Send a smaller message, or in parts."
	case broker.CodeState:
		return "It has ended or is ending; connect again."
	case broker.CodeUnavailable:
		return "Connect again in a moment."
	case broker.CodeNotSupported:
		return "This broker does not offer it."
	}
	return ""
}

// nackPolicy reads what NACK means from its option. ActiveMQ: dead-letter,
// RabbitMQ: requeue, Artemis: redeliver.
func nackPolicy(name string) (broker.Outcome, error) {
	switch name {
	case "dead-letter":
		return broker.Rejected, nil
	case "requeue":
		return broker.Released, nil
	case "redeliver":
		return broker.Modified, nil
	}
	return broker.Rejected, fmt.Errorf("option %s=%q: want dead-letter, requeue or redeliver", optNack, name)
}
