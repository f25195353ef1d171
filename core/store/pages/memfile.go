package pages

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A memory table's log: a header of 20 bytes, then entries: meta, user meta, lengths of key and value
// and an expiry as varints, key, value, CRC-32C. A transaction's entries have memTxn set; one with
// memEnd closes it. Behind the last entry the file is zero.
const (
	memHeader = 20
	memTxn    = 1 << 6
	memEnd    = 1 << 7
	memMaxKey = 1 << 16
)

var errMemLog = errors.New("memory table's log is not whole")

// verifyLogHeader checks the first bytes of a log: the number of an encryption key, of which there are
// none here. Badger refuses any other number, and leaves goroutines behind.
func verifyLogHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var key [8]byte
	if _, err := f.ReadAt(key[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if key != [8]byte{} {
		return fmt.Errorf("%w: encrypted with key %x", errMemLog, key)
	}
	return nil
}

// verifyMemFile checks that a memory table's log is whole to its end. That must be so for every one but
// the newest: a table's log is complete and synced before the next begins. Badger would cut it at the
// first bad byte, silently, and leave a hole in the middle of history. (The newest may end in a torn
// transaction; whether it lost more than that, the mark tells.)
func verifyMemFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return verifyMemLog(bufio.NewReaderSize(f, 1<<20), fi.Size())
}

// verifyMemLog takes no more memory than size.
func verifyMemLog(r *bufio.Reader, size int64) error {
	if _, err := r.Discard(memHeader); err != nil {
		return fmt.Errorf("%w: no header", errMemLog)
	}
	var (
		at   = int64(memHeader)
		open = false // in a transaction
		buf  []byte
	)
	for {
		e := memEntry{r: r, crc: crc32.New(crc32.MakeTable(crc32.Castagnoli)), buf: buf}
		err := e.read(size - at)
		buf = e.buf
		switch {
		case errors.Is(err, io.EOF) && !open:
			return nil
		case err != nil:
			return fmt.Errorf("%w: at %d: %w", errMemLog, at, err)
		case e.zero && open:
			return fmt.Errorf("%w: ends in a transaction at %d", errMemLog, at)
		case e.zero:
			return zeroToEnd(r, at)
		}
		at += e.n
		open = e.meta&memTxn != 0 && e.meta&memEnd == 0
	}
}

// memEntry reads one entry.
type memEntry struct {
	r   *bufio.Reader
	crc interface {
		io.Writer
		Sum32() uint32
	}
	buf  []byte
	n    int64 // bytes read
	meta byte
	zero bool // the place of an entry holds zeros: the end
}

// ReadByte reads a byte of the entry's header.
func (e *memEntry) ReadByte() (byte, error) {
	b, err := e.r.ReadByte()
	if err == nil {
		e.n++
		_, err = e.crc.Write([]byte{b})
	}
	return b, err
}

// read returns io.EOF if the file ends before the entry begins. limit is what is left of the file.
func (e *memEntry) read(limit int64) error {
	klen, vlen, err := e.header()
	if err != nil {
		if e.n == 0 {
			return io.EOF
		}
		return io.ErrUnexpectedEOF
	}
	if klen == 0 {
		e.zero = e.meta == 0 && vlen == 0
		if e.zero {
			return nil
		}
		return errors.New("entry without a key")
	}
	if klen > memMaxKey || vlen > uint64(limit) || klen+vlen > uint64(limit) {
		return fmt.Errorf("entry with lengths %d and %d in %d bytes", klen, vlen, limit)
	}
	if n := int(klen + vlen); cap(e.buf) < n {
		e.buf = make([]byte, n)
	}
	body := e.buf[:klen+vlen]
	var sum [4]byte
	if _, err := io.ReadFull(e.r, body); err != nil {
		return io.ErrUnexpectedEOF
	}
	if _, err := io.ReadFull(e.r, sum[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	e.n += int64(len(body) + len(sum))
	if _, err := e.crc.Write(body); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(sum[:]) != e.crc.Sum32() {
		return errors.New("checksum does not match")
	}
	return nil
}

func (e *memEntry) header() (klen, vlen uint64, err error) {
	if e.meta, err = e.ReadByte(); err != nil {
		return 0, 0, err
	}
	if _, err = e.ReadByte(); err != nil { // user meta
		return 0, 0, err
	}
	if klen, err = binary.ReadUvarint(e); err != nil {
		return 0, 0, err
	}
	if vlen, err = binary.ReadUvarint(e); err != nil {
		return 0, 0, err
	}
	_, err = binary.ReadUvarint(e) // expiry
	return klen, vlen, err
}

func zeroToEnd(r io.Reader, at int64) error {
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			return fmt.Errorf("%w: bytes behind the end at %d", errMemLog, at)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
