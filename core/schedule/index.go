package schedule

import "github.com/entrepot-mq/entrepot/core/message"

// index finds slots by id: a hash table with open addressing that holds
// nothing but slot numbers, 8 bytes a job with the room it needs.
type index struct {
	cells []uint32 // slot + 1, 0 is empty; the length is a power of two
	used  int
}

// hash spreads ids, which count upwards.
func hash(id message.ID) uint64 {
	h := (id.Lo ^ id.Hi*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	h ^= h >> 29
	h *= 0x94d049bb133111eb
	return h ^ h>>32
}

func (x *index) find(t *Table, id message.ID) (slot uint32, ok bool) {
	if len(x.cells) == 0 {
		return 0, false
	}
	mask := uint64(len(x.cells) - 1)
	for i := hash(id) & mask; x.cells[i] != 0; i = (i + 1) & mask {
		if n := x.cells[i] - 1; t.slot(n).id == id {
			return n, true
		}
	}
	return 0, false
}

// add takes in slot n, whose id is not in the index.
func (x *index) add(t *Table, n uint32) {
	if x.used >= len(x.cells)*3/4 {
		x.grow(t)
	}
	x.put(t, n)
	x.used++
}

func (x *index) put(t *Table, n uint32) {
	mask := uint64(len(x.cells) - 1)
	i := hash(t.slot(n).id) & mask
	for x.cells[i] != 0 {
		i = (i + 1) & mask
	}
	x.cells[i] = n + 1
}

func (x *index) grow(t *Table) {
	old := x.cells
	x.cells = make([]uint32, max(64, 2*len(old)))
	for _, c := range old {
		if c != 0 {
			x.put(t, c-1)
		}
	}
}

// remove takes out slot n, whose id is still there. What stands behind it is
// moved up so that it is found from its own place on.
func (x *index) remove(t *Table, n uint32) {
	mask := uint64(len(x.cells) - 1)
	i := hash(t.slot(n).id) & mask
	for x.cells[i] != n+1 {
		i = (i + 1) & mask
	}
	hole := i
	for i = (i + 1) & mask; x.cells[i] != 0; i = (i + 1) & mask {
		home := hash(t.slot(x.cells[i]-1).id) & mask
		if (i-home)&mask >= (i-hole)&mask {
			x.cells[hole] = x.cells[i]
			hole = i
		}
	}
	x.cells[hole] = 0
	x.used--
}
