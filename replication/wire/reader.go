package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// reader takes values off a packet's body. After the first fault it returns zeros; done tells.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) done() error {
	switch {
	case r.failed:
		return fmt.Errorf("%w: ends too early, or holds an impossible number", ErrMalformed)
	case len(r.b) > 0:
		return fmt.Errorf("%w: %d bytes too many", ErrMalformed, len(r.b))
	}
	return nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// uvarint takes the shortest form only.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// bytes returns a part of the body.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.failed, r.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string {
	v := r.bytes()
	if len(v) > maxName {
		r.failed = true
		return ""
	}
	return string(v)
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.failed, r.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) position() log.Position {
	return log.Position{Epoch: r.uvarint(), Index: r.uvarint(), Chain: r.uint32()}
}

func (r *reader) epochs() []log.EpochStart {
	n := r.uvarint()
	if n > maxEpochs || n > uint64(len(r.b))/2 {
		r.failed = true
		return nil
	}
	if n == 0 {
		return nil
	}
	out := make([]log.EpochStart, n)
	for i := range out {
		out[i] = log.EpochStart{Epoch: r.uvarint(), Index: r.uvarint()}
	}
	return out
}
