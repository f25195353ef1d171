package schedule

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Job is a scheduled message: what does not change while it waits.
type Job struct {
	ID      message.ID
	Created int64 // ms since 1970
	Spec    Spec
	// Message is as it was published, still with the annotations that schedule
	// it.
	Message *message.Message
}

// ErrRecord is wrapped by every error about stored bytes.
var ErrRecord = errors.New("malformed schedule")

const recordVersion = 1

// Append appends the job's record: version, id, created, the numbers of the
// spec as uvarints, its two strings with their lengths, the message's bytes.
func (j *Job) Append(b []byte) []byte {
	b = appendID(append(b, recordVersion), j.ID)
	for _, n := range [...]int64{j.Created, j.Spec.At, j.Spec.Delay, j.Spec.Period, int64(j.Spec.Repeat)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, s := range [...]string{j.Spec.Cron, j.Spec.Zone} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, j.Message.Raw()...)
}

// DecodeJob reads what Append wrote. The job points into b.
func DecodeJob(b []byte) (*Job, error) {
	r := decoder{b: b}
	if r.byte() != recordVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrRecord)
	}
	j := &Job{ID: r.id()}
	j.Created = r.time()
	j.Spec = Spec{At: r.time(), Delay: r.time(), Period: r.time(), Repeat: r.uint32()}
	j.Spec.Cron, j.Spec.Zone = r.string(), r.string()
	if r.bad {
		return nil, ErrRecord
	}
	var err error
	if j.Message, err = message.Decode(r.b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return j, nil
}

// Fire returns the message to be sent at now: without what scheduled it, with
// the job's id, with the same time to live from now on. A delivery that isn't
// the only one gets fresh as its id.
func (j *Job) Fire(now int64, fresh message.ID) *message.Message {
	return j.Message.With(func(e *message.Envelope) {
		kept := e.Annotations[:0]
		for _, a := range e.Annotations {
			if !IsProperty(a.Name) {
				kept = append(kept, a)
			}
		}
		e.Annotations = append(kept, message.Annotation{Name: JobID, Value: j.ID.String()})
		e.DeliverAt = 0
		if e.Expiry > 0 {
			if shifted := now + e.Expiry - e.Timestamp; shifted > e.Expiry {
				e.Expiry, e.Timestamp = shifted, now
			}
		}
		if fresh != (message.ID{}) {
			e.ID, e.MessageID = fresh, ""
		}
	})
}

func appendID(b []byte, id message.ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id.Hi), id.Lo)
}

// decoder takes fields off an encoding. After a failure everything is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (r *decoder) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *decoder) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// time reads a time or a duration, which is never negative.
func (r *decoder) time() int64 {
	v := int64(r.uvarint())
	if v < 0 {
		r.b, r.bad = nil, true
		return 0
	}
	return v
}

func (r *decoder) uint32() uint32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.b, r.bad = nil, true
	}
	return uint32(v)
}

func (r *decoder) string() string { return string(r.take(r.uvarint())) }

func (r *decoder) id() (id message.ID) {
	if p := r.take(16); p != nil {
		id.Hi, id.Lo = binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
	}
	return id
}
