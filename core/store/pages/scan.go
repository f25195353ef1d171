package pages

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// A Scan reads in pieces, so that fn runs without a lock and Maintain waits for a piece, not for fn.
const (
	scanBytes = 1 << 20
	scanKeys  = 4096
)

// Scan implements Store. It holds up to 1 MiB and one value more.
func (s *Badger) Scan(prefix []byte, fn func(key, value []byte) error) error {
	at := s.readers.enter()
	defer s.endScan(at)
	if at != 0 {
		err := s.scan(prefix, at, func(key, value []byte) error {
			if key[0] == internal {
				return nil
			}
			return fn(key, value)
		})
		if err != nil {
			return err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.broken
}

// scan is Scan as of version at, this package's own keys included.
func (s *Badger) scan(prefix []byte, at uint64, fn func(key, value []byte) error) error {
	p := piece{from: prefix}
	for more := true; more; {
		var err error
		if more, err = s.readPiece(&p, prefix, at); err != nil {
			return err
		}
		for i := range p.ends {
			key, value := p.pair(i)
			if err := fn(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Badger) endScan(at uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.leave(at)
}

// piece is a run of pairs, copied out of Badger.
type piece struct {
	from []byte // key to go on from
	data []byte
	ends []pairEnd
}

type pairEnd struct{ key, value int } // offsets in data

func (p *piece) pair(i int) (key, value []byte) {
	start := 0
	if i > 0 {
		start = p.ends[i-1].value
	}
	e := p.ends[i]
	return p.data[start:e.key:e.key], p.data[e.key:e.value:e.value]
}

func (p *piece) full() bool { return len(p.data) >= scanBytes || len(p.ends) >= scanKeys }

// readPiece fills p from p.from and reports whether there is more behind it.
func (s *Badger) readPiece(p *piece, prefix []byte, at uint64) (more bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return false, s.broken
	}
	p.data, p.ends = p.data[:0], p.ends[:0]
	err = guarded("scan", func() error {
		txn := s.db.NewTransactionAt(at, false)
		defer txn.Discard()
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(p.from); it.Valid(); it.Next() {
			if more = p.full(); more {
				p.from = append([]byte(nil), it.Item().Key()...)
				return nil
			}
			if err := p.add(it.Item(), &s.values); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("scan page store: %w", err)
	}
	return more, nil
}

func (p *piece) add(item *badger.Item, values *valueFiles) error {
	key, version := item.Key(), item.Version()
	if bytes.HasPrefix(key, reservedByBadger) {
		return nil
	}
	return item.Value(func(sealed []byte) (err error) {
		stands, v, ok := unseal(key, sealed, version)
		if !ok {
			return damaged("", "value of key %x, version %d: checksum does not match", key, version)
		}
		p.data = append(p.data, key...)
		k := len(p.data)
		if stands == standsHere {
			p.data = append(p.data, v...)
		} else if p.data, err = values.read(p.data, key, version, decodePlace(v)); err != nil {
			return err
		}
		p.ends = append(p.ends, pairEnd{k, len(p.data)})
		return nil
	})
}
