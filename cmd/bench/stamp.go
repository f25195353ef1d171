package bench

import "errors"

// stampSize is what a message carries at the start of its body, and therefore
// the smallest body that can be measured.
const stampSize = 16

// stampDigits is how the 96 bits of a stamp are spelled: six bits a character,
// none of which any protocol has to escape, so that a stamp can also be a
// STOMP receipt id and a text body.
const stampDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Where the fields of a stamp are. The sequence is last because it is the only
// one that changes within a batch.
const (
	stampProducerAt = 2
	stampTimeAt     = 4
	stampSeqAt      = 11

	maxRun       = 1 << 12
	maxProducers = 1 << 12
	maxSequence  = 1 << 30
	maxTicks     = 1 << 42
)

// tickNanos is the unit of a stamp's time: 42 bits of it are five days.
const tickNanos = 100

// errStamp says that a body was not written by this generator.
var errStamp = errors.New("the body does not start with a bench stamp")

// stamp names one message of one run and the moment it was sent, or with a
// rate the moment at which it was due.
type stamp struct {
	run      uint16 // 12 bits, so that left-overs of an earlier run are recognised
	producer uint16 // 12 bits
	seq      uint32 // 30 bits, from 0, per producer
	ticks    int64  // 42 bits, tickNanos since the generator started
}

// stampValues maps a digit to its value, 0xff where it is none.
var stampValues = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i := range len(stampDigits) {
		v[stampDigits[i]] = byte(i)
	}
	return v
}()

func putDigits(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = stampDigits[v&63]
		v >>= 6
	}
}

// digits returns the value of src, with bits above the 42nd set when one of
// its characters is not a digit.
func digits(src []byte) uint64 {
	var v, bad uint64
	for _, c := range src {
		d := uint64(stampValues[c])
		bad |= d & 0x80
		v = v<<6 | d&63
	}
	return v | bad<<56
}

// put writes s to the first stampSize bytes of dst.
func (s stamp) put(dst []byte) {
	_ = dst[stampSize-1]
	putDigits(dst[:stampProducerAt], uint64(s.run))
	putDigits(dst[stampProducerAt:stampTimeAt], uint64(s.producer))
	putDigits(dst[stampTimeAt:stampSeqAt], uint64(s.ticks))
	putDigits(dst[stampSeqAt:stampSize], uint64(s.seq))
}

// readStamp reads what put wrote.
func readStamp(src []byte) (stamp, error) {
	if len(src) < stampSize {
		return stamp{}, errStamp
	}
	run := digits(src[:stampProducerAt])
	producer := digits(src[stampProducerAt:stampTimeAt])
	ticks := digits(src[stampTimeAt:stampSeqAt])
	seq := digits(src[stampSeqAt:stampSize])
	if run|producer|seq >= maxTicks || ticks >= maxTicks {
		return stamp{}, errStamp
	}
	return stamp{run: uint16(run), producer: uint16(producer), seq: uint32(seq), ticks: int64(ticks)}, nil
}
