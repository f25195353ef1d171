package amqp

import (
	"errors"
	"math"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// Annotations of Qpid JMS: what a JMS client needs to rebuild destinations and
// the type of a message.
const (
	annotationDest    = "x-opt-jms-dest"
	annotationReplyTo = "x-opt-jms-reply-to"
	annotationMsgType = "x-opt-jms-msg-type"
)

// Values of x-opt-jms-msg-type.
const (
	jmsMessage = iota
	jmsObject
	jmsMap
	jmsBytes
	jmsStream
	jmsText
)

// Annotations that delay a message (ActiveMQ, Artemis, Qpid JMS).
const (
	annotationTime   = "x-opt-delivery-time"
	annotationDelay  = "x-opt-delivery-delay"
	annotationPeriod = "x-opt-delivery-period"
	annotationRepeat = "x-opt-delivery-repeat"
	annotationCron   = "x-opt-delivery-cron"
)

// annotationsRead are the annotations that the broker acts on.
var annotationsRead = map[string]func(*ingress, *message.Envelope, message.Value) error{
	annotationDest: func(f *ingress, _ *message.Envelope, v message.Value) error { f.to = kindByAnnotation(v); return nil },
	annotationReplyTo: func(f *ingress, _ *message.Envelope, v message.Value) error {
		f.replyTo = kindByAnnotation(v)
		return nil
	},
	annotationTime: func(_ *ingress, e *message.Envelope, v message.Value) error {
		ms, ok := v.Timestamp()
		if !ok {
			ms, ok = v.Int64()
		}
		if !ok || ms < 0 {
			return errors.New("it is not a time in milliseconds")
		}
		e.DeliverAt = ms
		return nil
	},
	annotationDelay:  scheduleAs("AMQ_SCHEDULED_DELAY"),
	annotationPeriod: scheduleAs("AMQ_SCHEDULED_PERIOD"),
	annotationRepeat: scheduleAs("AMQ_SCHEDULED_REPEAT"),
	annotationCron:   scheduleAs("AMQ_SCHEDULED_CRON"),
}

// scheduleAs hands an annotation to the broker as the property that means the
// same.
func scheduleAs(name string) func(*ingress, *message.Envelope, message.Value) error {
	return func(_ *ingress, e *message.Envelope, v message.Value) error {
		if v.IsNull() {
			return nil
		}
		text := v.String()
		if err := broker.CheckScheduleProperty(name, text); err != nil {
			return err
		}
		e.Annotations = append(e.Annotations, message.Annotation{Name: name, Value: text})
		return nil
	}
}

// isScheduleAnnotation reports whether name was for the broker alone.
func isScheduleAnnotation(name string) bool {
	switch name {
	case annotationTime, annotationDelay, annotationPeriod, annotationRepeat, annotationCron:
		return true
	}
	return false
}

// remainingTTL is header.ttl of a message that expires at expiry.
func remainingTTL(expiry, now int64) uint32 {
	return uint32(min(max(expiry-now, 1), math.MaxUint32))
}
