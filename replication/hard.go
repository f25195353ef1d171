package replication

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// hardFile is the node's file: what it must not forget, beside its log.
//
//	"ENTRNODE", u32 length of the rest but for the last 4 bytes, JSON of hardContent, u32 CRC-32C of all before it
//
// It is replaced by rename, so that there always is a whole one.
const (
	hardFile  = "node"
	hardMagic = "ENTRNODE"
	maxHard   = 1 << 20
)

// errHardDamaged says that the node's file is not what was written to it.
var errHardDamaged = errors.New("the node's file is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type hardContent struct {
	protocol.Hard
	Node string `json:"node"`
	// Memory says that the node may have acknowledged what only the operating system had; Boot, in which run of the system.
	Memory bool   `json:"memory,omitempty"`
	Boot   string `json:"boot,omitempty"`
}

// hardStore keeps hardContent in a directory.
type hardStore struct {
	fs      disk.FS
	dir     string
	content hardContent
}

// Store implements protocol.HardStore.
func (s *hardStore) Store(h protocol.Hard) error {
	c := s.content
	c.Hard = h
	if err := writeHard(s.fs, s.dir, c); err != nil {
		return fmt.Errorf("store the node's promises: %w", err)
	}
	s.content = c
	return nil
}

func writeHard(fsys disk.FS, dir string, c hardContent) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	b := append([]byte(hardMagic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[len(hardMagic):], uint32(len(text)))
	b = append(b, text...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	temp := filepath.Join(dir, hardFile+".tmp")
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, filepath.Join(dir, hardFile)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// readHard returns what the directory has; ok is false if it never was a group's.
func readHard(fsys disk.FS, dir string) (c hardContent, ok bool, err error) {
	name := filepath.Join(dir, hardFile)
	f, err := fsys.OpenRead(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return c, false, err
	}
	if size < int64(len(hardMagic))+8 || size > maxHard {
		return c, false, fmt.Errorf("%w: %s has %d bytes", errHardDamaged, name, size)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return c, false, err
	}
	return parseHard(name, b)
}

func parseHard(name string, b []byte) (c hardContent, ok bool, err error) {
	head := len(hardMagic) + 4
	body := b[:len(b)-4]
	switch {
	case string(b[:len(hardMagic)]) != hardMagic || int(binary.LittleEndian.Uint32(b[len(hardMagic):])) != len(body)-head:
		return c, false, fmt.Errorf("%w: %s does not begin as one", errHardDamaged, name)
	case crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]):
		return c, false, fmt.Errorf("%w: the checksum of %s is wrong", errHardDamaged, name)
	}
	if err := json.Unmarshal(body[head:], &c); err != nil {
		return c, false, fmt.Errorf("%s: %w", name, err)
	}
	if c.Inc == 0 {
		return c, false, fmt.Errorf("%s names no incarnation", name)
	}
	return c, true, nil
}
