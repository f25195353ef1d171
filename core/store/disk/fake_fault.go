package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Op names a kind of operation that a Fault waits for.
type Op uint8

// The operations of a Fake that can be told to fail.
const (
	OpRead Op = iota
	OpWrite
	OpSync
	OpSyncDir
	OpAllocate
	OpTruncate
	OpCreate
	OpRename
	OpRemove
)

// Fault makes one operation of a Fake fail.
type Fault struct {
	Op    Op
	After int   // operations of this kind that still succeed
	Err   error // what the failing one returns
	Short int   // bytes that a failing write stores all the same
}

// Inject adds a fault. It strikes once; several may wait at a time.
func (f *Fake) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Limit sets the number of bytes that all files together may have: growing beyond it fails with ENOSPC.
// A negative number takes the limit away.
func (f *Fake) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Used returns the number of bytes that all files together have.
func (f *Fake) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var used int64
	for _, node := range f.names {
		used += int64(len(node.cache))
	}
	return used
}

// HaltAfter lets n more operations that change something succeed; then the machine stands still and every
// operation returns ErrHalted until Crash. A negative number takes the order back.
func (f *Fake) HaltAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.haltAt = -1
	if n >= 0 {
		f.haltAt = f.count + n
	}
}

// Changes returns how many operations that change something were attempted so far: the range for HaltAfter.
func (f *Fake) Changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// begin counts an operation that changes something and returns the fault that strikes it, with its error.
// The caller holds mu.
func (f *Fake) begin(op Op) (*Fault, error) {
	if f.halted() {
		return nil, ErrHalted
	}
	f.count++
	return f.fault(op)
}

func (f *Fake) halted() bool { return f.haltAt >= 0 && f.count >= f.haltAt }

func (f *Fake) fault(op Op) (*Fault, error) {
	for i, fault := range f.faults {
		if fault.Op != op {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		f.faults = slices.Delete(f.faults, i, i+1)
		return fault, fault.Err
	}
	return nil, nil
}

// Crash cuts the power and starts the machine again. Of what was not synced an arbitrary subset, chosen by
// seed, survives: sectors (or pages of eight sectors) of each file, its new length, changes of directories.
// Handles and locks from before are dead, faults and the order to halt are forgotten, the limit of space stays.
func (f *Fake) Crash(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rnd := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)) //nolint:gosec // a seed repeats a failure
	f.life++
	f.faults, f.haltAt = nil, -1
	f.locks = map[string]bool{}
	for _, c := range f.pending {
		if rnd.IntN(2) == 0 {
			c.apply(f.platter)
		}
	}
	f.pending = nil
	f.names = maps.Clone(f.platter)
	done := map[*inode]bool{} // an entry may have survived under two names
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		if node := f.names[name]; !done[node] {
			done[node] = true
			node.crash(rnd)
		}
	}
}

// crash decides for each unsynced sector whether it had reached the platter. How likely that is differs from
// crash to crash, so that "nearly everything" and "nearly nothing" are both tried.
func (n *inode) crash(rnd *rand.Rand) {
	unit := int64(1)
	if rnd.IntN(2) == 0 {
		unit = 8
	}
	chance := rnd.Float64()*1.2 - 0.1
	if len(n.cache) != len(n.platter) && rnd.IntN(2) == 0 {
		n.platter = resized(n.platter, len(n.cache))
	}
	kept := map[int64]bool{}
	for _, s := range slices.Sorted(maps.Keys(n.dirty)) {
		if _, known := kept[s/unit]; !known {
			kept[s/unit] = rnd.Float64() < chance
		}
		if kept[s/unit] {
			copySector(n.platter, n.cache, s)
		}
	}
	n.cache = slices.Clone(n.platter)
	clear(n.dirty)
}
