package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	checkpointFile = "CHECKPOINT"
	checkpointSize = 76
	checkpointBody = checkpointSize - 4
	storeFormat    = 2
)

var checkpointMagic = []byte("EPCK")

// checkpoint is what the CHECKPOINT file holds. With an intent, Badger's mark is completed, or that of
// the intent if the crash came between the last transaction and this file; without one it is completed.
type checkpoint struct {
	completed Mark
	intent    uint64
	manifest  int64  // MANIFEST had this many bytes, synced
	version   uint64 // the highest that Badger may hold anything of
	tail      uint64 // the last value file of completed, 0 for none
	tailSize  int64  // bytes in use of it
}

func (c checkpoint) encode() []byte {
	b := make([]byte, 0, checkpointSize)
	b = append(b, checkpointMagic...)
	b = binary.BigEndian.AppendUint32(b, storeFormat)
	b = c.completed.append(b)
	b = binary.BigEndian.AppendUint64(b, c.intent)
	b = binary.BigEndian.AppendUint64(b, uint64(c.manifest))
	b = binary.BigEndian.AppendUint64(b, c.version)
	b = binary.BigEndian.AppendUint64(b, c.tail)
	b = binary.BigEndian.AppendUint64(b, uint64(c.tailSize))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeCheckpoint(b []byte) (checkpoint, error) {
	if len(b) < 8 || !bytes.Equal(b[:4], checkpointMagic) {
		return checkpoint{}, damaged(checkpointFile, "not a checkpoint file")
	}
	format := binary.BigEndian.Uint32(b[4:])
	switch {
	case len(b) == checkpointSize && crc32.Checksum(b[:checkpointBody], castagnoli) != binary.BigEndian.Uint32(b[checkpointBody:]):
		return checkpoint{}, damaged(checkpointFile, "checksum does not match")
	case format != storeFormat && format < 1<<8:
		return checkpoint{}, fmt.Errorf("page store has format %d, this program reads %d", format, storeFormat)
	case len(b) != checkpointSize:
		return checkpoint{}, damaged(checkpointFile, "%d bytes instead of %d", len(b), checkpointSize)
	}
	c := checkpoint{
		completed: decodeMark(b[8:]),
		intent:    binary.BigEndian.Uint64(b[8+markSize:]),
		manifest:  int64(binary.BigEndian.Uint64(b[16+markSize:])),
		version:   binary.BigEndian.Uint64(b[24+markSize:]),
		tail:      binary.BigEndian.Uint64(b[32+markSize:]),
		tailSize:  int64(binary.BigEndian.Uint64(b[40+markSize:])),
	}
	if c.manifest < 0 || c.tailSize < 0 || c.tailSize > maxValueFile {
		return checkpoint{}, damaged(checkpointFile, "impossible content")
	}
	return c, nil
}

// loadCheckpoint returns what dir's CHECKPOINT file holds, and false if there is none.
func loadCheckpoint(dir string) (checkpoint, bool, error) {
	f, err := os.Open(filepath.Join(dir, checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, false, nil
	}
	if err != nil {
		return checkpoint{}, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, checkpointSize+1))
	if err != nil {
		return checkpoint{}, true, damaged(checkpointFile, "cannot be read: %v", err)
	}
	c, err := decodeCheckpoint(b)
	return c, true, err
}

// save replaces dir's CHECKPOINT file, durably.
func (c checkpoint) save(dir string) error {
	n, err := syncedSize(filepath.Join(dir, manifestFile))
	if err != nil {
		return fmt.Errorf("write checkpoint file: %w", err)
	}
	c.manifest = n
	if err := replaceFile(dir, checkpointFile, c.encode()); err != nil {
		return fmt.Errorf("write checkpoint file: %w", err)
	}
	return nil
}

// syncedSize returns a size that the file has on disk, not only in the page cache.
func syncedSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), f.Sync()
}

func replaceFile(dir, name string, content []byte) error {
	tmp := filepath.Join(dir, name+".new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}
