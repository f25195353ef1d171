package pages

import "encoding/binary"

// usage estimates the dead bytes: what Delete has freed and Badger may still hold. A Delete counts as
// the mean size of what was put under keys of the same kind (first byte); looking the old value up
// would read a purged backlog back from the disk. What Badger's own merging has removed since is not
// subtracted, so dead errs upwards, by at most what was deleted: Maintain may come early, and then at
// most once per DeadBytes deleted.
type usage struct {
	kinds [usageKinds]kindUsage
	dead  uint64 // bytes
}

type kindUsage struct{ puts, bytes uint64 }

const (
	usageKinds = 32
	usageSize  = usageKinds*16 + 8
	// usageWindow: a mean forgets by halves, so that it follows what is written now.
	usageWindow = 1 << 20
)

func kindOf(key []byte) int { return int(min(key[0], usageKinds-1)) }

func (u *usage) put(key []byte, size int) {
	k := &u.kinds[kindOf(key)]
	if k.puts++; k.puts > usageWindow {
		k.puts, k.bytes = k.puts/2, k.bytes/2
	}
	k.bytes += uint64(size)
}

func (u *usage) delete(key []byte) {
	if k := u.kinds[kindOf(key)]; k.puts > 0 {
		u.dead += k.bytes / k.puts
	}
}

func (u *usage) append(b []byte) []byte {
	for _, k := range u.kinds {
		b = binary.BigEndian.AppendUint64(b, k.puts)
		b = binary.BigEndian.AppendUint64(b, k.bytes)
	}
	return binary.BigEndian.AppendUint64(b, u.dead)
}

// decodeUsage reads what append wrote; anything else is an empty usage, as nothing depends on it.
func decodeUsage(b []byte) (u usage) {
	if len(b) != usageSize {
		return usage{}
	}
	for i := range u.kinds {
		u.kinds[i].puts = binary.BigEndian.Uint64(b[i*16:])
		u.kinds[i].bytes = binary.BigEndian.Uint64(b[i*16+8:])
	}
	u.dead = binary.BigEndian.Uint64(b[usageKinds*16:])
	return u
}
