package stomp

import (
	"bytes"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// readSchedule hands the headers that delay a message to the broker, as
// annotations. A message that was scheduled before keeps them as headers. What
// remains are the headers that only the broker may set: they are dropped.
func (c *conn) readSchedule(e *message.Envelope, f *frame, h *field, block []byte) ([]byte, error) {
	switch h.name { //nolint:exhaustive // those that have no meaning here
	case headerScheduledDelay, headerScheduledPeriod, headerScheduledRepeat, headerScheduledCron, headerScheduledZone:
		if f.first[headerScheduledJob] != 0 {
			return f.appendDecoded(block, h), nil
		}
		name, value := alias(f.bytes(h.key)), alias(bytes.TrimSpace(f.bytes(h.value)))
		if err := broker.CheckScheduleProperty(name, value); err != nil {
			return block, refuse("Write whole numbers for milliseconds and repeats, and a pattern as minute, hour, day of month, month, day of week: 0 12 * * 1.",
				"%s", err)
		}
		e.Annotations = append(e.Annotations, message.Annotation{Name: name, Value: value})
		return block, nil
	case headerScheduledJob:
		return f.appendDecoded(block, h), nil
	}
	return block, nil
}
