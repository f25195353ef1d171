package amqp

import "slices"

// deliveries are a session's unsettled ones by delivery id: a ring of
// consecutive ids that grows with need. Few that stay while thousands behind
// them are settled move out of it, so that its size follows their number.
type deliveries struct {
	ring   []delivery // length a power of two
	first  uint32     // id of the oldest in the ring
	n      uint32
	open   int // in the ring and outside
	strays map[uint32]delivery
}

// delivery is where a delivery id leads.
type delivery struct {
	link *link // nil: settled
	tag  uint64
}

const minSparse = 1024

func (d *deliveries) at(id uint32) *delivery { return &d.ring[id&uint32(len(d.ring)-1)] }

// skip uses up an id for a delivery that is settled.
func (d *deliveries) skip() (id uint32) {
	if d.n == 0 {
		d.first++
		return d.first - 1
	}
	id = d.push(delivery{})
	d.open--
	return id
}

func (d *deliveries) push(v delivery) (id uint32) {
	if d.n == uint32(len(d.ring)) {
		if d.n >= minSparse && d.open-len(d.strays) < int(d.n/8) {
			d.stray()
		} else {
			d.resize(max(8, 2*len(d.ring)))
		}
	}
	id = d.first + d.n
	d.n++
	d.open++
	*d.at(id) = v
	return id
}

func (d *deliveries) stray() {
	if d.strays == nil {
		d.strays = make(map[uint32]delivery)
	}
	for ; d.n > 0; d.first, d.n = d.first+1, d.n-1 {
		if v := d.at(d.first); v.link != nil {
			d.strays[d.first] = *v
		}
		*d.at(d.first) = delivery{}
	}
}

func (d *deliveries) resize(size int) {
	grown := make([]delivery, size)
	for i := range d.n {
		id := d.first + i
		grown[id&uint32(size-1)] = *d.at(id)
	}
	d.ring = grown
}

// get returns the delivery of an id; its link is nil if it is settled.
func (d *deliveries) get(id uint32) delivery {
	if id-d.first < d.n {
		return *d.at(id)
	}
	return d.strays[id]
}

// settle forgets the delivery of an id.
func (d *deliveries) settle(id uint32) {
	if _, ok := d.strays[id]; ok {
		delete(d.strays, id)
		d.open--
		return
	}
	if id-d.first >= d.n || d.at(id).link == nil {
		return
	}
	*d.at(id) = delivery{}
	d.open--
	for d.n > 0 && d.at(d.first).link == nil {
		d.first++
		d.n--
	}
	if d.n == 0 && len(d.ring) > minSparse {
		d.ring = nil
	}
}

// appendIn appends the ids from first to last that are unsettled, in their
// order. It looks at no more than there are, however far first and last are
// from each other.
func (d *deliveries) appendIn(ids []uint32, first, last uint32) []uint32 {
	ids = d.appendStrays(ids, first, last)
	from, to := first, last
	if before(from, d.first) {
		from = d.first
	}
	if end := d.first + d.n - 1; before(end, to) {
		to = end
	}
	if d.n == 0 || before(to, from) {
		return ids
	}
	for id := from; ; id++ {
		if d.at(id).link != nil {
			ids = append(ids, id)
		}
		if id == to {
			return ids
		}
	}
}

func (d *deliveries) appendStrays(ids []uint32, first, last uint32) []uint32 {
	if len(d.strays) == 0 {
		return ids
	}
	start := len(ids)
	for id := range d.strays {
		if id-first <= last-first {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids[start:], func(a, b uint32) int { return int(int32(a - b)) })
	return ids
}
