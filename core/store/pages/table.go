package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// A table file of Badger, from its end: length of the checksum (4), checksum, length of the index (4),
// index; before them the blocks, each of which ends in its own checksum and the length of that.

var errTable = errors.New("table does not have the form of one")

// verifyTableFile checks the index of a table and, if asked to, all its blocks.
func verifyTableFile(path string, blocks bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return guarded("table index", func() error { return verifyTable(f, fi.Size(), blocks) })
}

func verifyTable(r io.ReaderAt, size int64, blocks bool) error {
	data, start, err := readIndex(r, size)
	if err != nil || !blocks {
		return err
	}
	index := fb.GetRootAsTableIndex(data, 0)
	var (
		at  fb.BlockOffset
		buf []byte
	)
	for i := range index.OffsetsLength() {
		if !index.Offsets(&at, i) {
			return fmt.Errorf("%w: block %d is not in the index", errTable, i)
		}
		off, n := int64(at.Offset()), int64(at.Len())
		if off+n > start {
			return fmt.Errorf("%w: block %d at %d reaches into the index", errTable, i, off)
		}
		if int64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		if _, err := r.ReadAt(buf[:n], off); err != nil {
			return fmt.Errorf("block %d at %d: %w", i, off, err)
		}
		if err := verifyBlock(buf[:n]); err != nil {
			return fmt.Errorf("block %d at %d: %w", i, off, err)
		}
	}
	return nil
}

// readIndex returns the verified index and where it starts in the file.
func readIndex(r io.ReaderAt, size int64) (index []byte, start int64, err error) {
	sum, end, err := readBackward(r, size)
	if err != nil {
		return nil, 0, err
	}
	index, start, err = readBackward(r, end)
	if err != nil {
		return nil, 0, err
	}
	if len(index) == 0 {
		return nil, 0, fmt.Errorf("%w: it has no index", errTable)
	}
	return index, start, verifySum(index, sum)
}

// readBackward reads what stands before its own length, which ends at end.
func readBackward(r io.ReaderAt, end int64) (data []byte, start int64, err error) {
	var length [4]byte
	if end < 4 {
		return nil, 0, fmt.Errorf("%w: it is too short", errTable)
	}
	if _, err := r.ReadAt(length[:], end-4); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if start = end - 4 - n; start < 0 {
		return nil, 0, fmt.Errorf("%w: a length of %d in %d bytes", errTable, n, end)
	}
	data = make([]byte, n)
	_, err = r.ReadAt(data, start)
	return data, start, err
}

func verifyBlock(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("%w: a block of %d bytes", errTable, len(b))
	}
	n := int64(binary.BigEndian.Uint32(b[len(b)-4:]))
	end := int64(len(b)) - 4 - n
	if end < 0 {
		return fmt.Errorf("%w: a checksum of %d bytes", errTable, n)
	}
	return verifySum(b[:end], b[end:len(b)-4])
}

func verifySum(data, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("%w: unreadable checksum", errTable)
	}
	if want.Algo != pb.Checksum_CRC32C && want.Algo != pb.Checksum_XXHash64 {
		return fmt.Errorf("%w: unknown checksum %d", errTable, want.Algo)
	}
	return y.VerifyChecksum(data, &want)
}
