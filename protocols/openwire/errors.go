package openwire

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Classes of exceptions: applications see what their client makes of these
// names. Every client from ActiveMQ 4 to 6 maps the javax ones.
const (
	classJMS          = "javax.jms.JMSException"
	classSecurity     = "java.lang.SecurityException"
	classClientID     = "javax.jms.InvalidClientIDException"
	classSelector     = "javax.jms.InvalidSelectorException"
	classDestination  = "javax.jms.InvalidDestinationException"
	classState        = "javax.jms.IllegalStateException"
	classLangState    = "java.lang.IllegalStateException"
	classResources    = "javax.jms.ResourceAllocationException"
	classRolledBack   = "javax.jms.TransactionRolledBackException"
	classXA           = "javax.transaction.xa.XAException"
	classNotSupported = "java.lang.UnsupportedOperationException"
)

// exception is an error in the words of Java.
type exception struct {
	class, text string
	fatal       bool // the connection ends
}

func (e *exception) Error() string { return e.text }

func refuse(class, format string, args ...any) error {
	return &exception{class: class, text: fmt.Sprintf(format, args...)}
}

// violation is an error after which the connection can't be trusted.
func violation(format string, args ...any) error {
	return &exception{class: classJMS, text: fmt.Sprintf(format, args...), fatal: true}
}

// toException puts an error of the broker into Java's words.
func toException(err error) *exception {
	if e, ok := errors.AsType[*exception](err); ok {
		return e
	}
	code := broker.CodeOf(err)
	e := &exception{class: class(code), text: err.Error()}
	if code == broker.CodeInternal {
		e.text = "internal error of the broker; its log has the details"
	}
	return e
}

func class(c broker.Code) string {
	switch c {
	case broker.CodeInternal, broker.CodeInvalid, broker.CodeInUse, broker.CodeTooLarge, broker.CodeUnavailable:
		return classJMS
	case broker.CodeNotFound:
		return classDestination
	case broker.CodeExists:
		return classClientID
	case broker.CodeUnauthorized, broker.CodeForbidden:
		return classSecurity
	case broker.CodeLimit, broker.CodeFull:
		return classResources
	case broker.CodeState:
		return classState
	case broker.CodeNotSupported:
		return classNotSupported
	}
	return classJMS
}

func (e *exception) throwable() *wire.Throwable {
	return &wire.Throwable{Class: wire.Text(e.class), Text: wire.Text(e.text)}
}
