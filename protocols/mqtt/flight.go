package mqtt

import "github.com/entrepot-mq/entrepot/core/broker"

// flight is the deliveries of QoS 1 and 2 that the client has not
// acknowledged, by packet identifier: a table that is large enough for every
// identifier in use to have a place of its own. Identifiers are about
// consecutive, so that it is small.
type flight struct {
	slots []flying // length is a power of two, up to 65,536
	n     int
	last  uint16 // identifier that was given last
}

// flying is one delivery in flight.
type flying struct {
	id     uint16 // 0: the slot is free
	stage  stage
	source *source
	tag    uint64
}

// stage is what a delivery in flight waits for.
type stage uint8

const (
	stagePuback  stage = iota // PUBLISH of QoS 1 is sent
	stagePubrec               // PUBLISH of QoS 2 is sent
	stageLogged               // PUBREC has come and is on its way to the log
	stagePubcomp              // PUBREL is sent
)

const (
	minFlight  = 16
	keepFlight = 64 // slots that an idle connection keeps
)

func (f *flight) at(id uint16) *flying { return &f.slots[int(id)&(len(f.slots)-1)] }

// find returns what is in flight under id, nil if nothing is.
func (f *flight) find(id uint16) *flying {
	if len(f.slots) == 0 {
		return nil
	}
	if s := f.at(id); s.id == id && id != 0 {
		return s
	}
	return nil
}

// add puts a delivery under id, which is free.
func (f *flight) add(d flying) {
	if len(f.slots) == 0 {
		f.slots = make([]flying, minFlight)
	}
	for f.at(d.id).id != 0 {
		f.grow()
	}
	*f.at(d.id) = d
	f.n++
}

// grow doubles the table until nothing collides. With 65,536 slots nothing
// can.
func (f *flight) grow() {
	old := f.slots
	for size := 2 * len(old); ; size *= 2 {
		f.slots = make([]flying, size)
		if f.fill(old) {
			return
		}
	}
}

func (f *flight) fill(old []flying) bool {
	for i := range old {
		if old[i].id == 0 {
			continue
		}
		if f.at(old[i].id).id != 0 {
			return false
		}
		*f.at(old[i].id) = old[i]
	}
	return true
}

// free ends what d is.
func (f *flight) free(d *flying) {
	*d = flying{}
	if f.n--; f.n == 0 && len(f.slots) > keepFlight {
		f.slots = nil
	}
}

// fresh returns an identifier that is not in use. There is one: receive
// maximum is less than their number.
func (f *flight) fresh() uint16 {
	for {
		if f.last++; f.last == 0 {
			f.last = 1 // [MQTT-2.2.1-3]
		}
		if f.find(f.last) == nil {
			return f.last
		}
	}
}

// identifierOf returns the packet identifier of the message at that place of a
// session's queue. It is the same whenever the message is sent
// [MQTT-4.4.0-1]: nothing has to be written down before a delivery.
func identifierOf(pos uint64) uint16 {
	const seqBits = 56
	return uint16((pos&(1<<seqBits-1))%0xffff) + 1
}

// source is where a delivery comes from: Consumer.Ref.
type source struct {
	consumer *broker.Consumer
	stored   bool          // the session's queue
	sub      *subscription // of a shared subscription, nil for the connection's other ones

	// guarded by conn.mu
	open   int // deliveries of QoS 1 and 2 that are handed over and not settled
	closed bool
}
