package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// The log's files, as core/store/log/doc.go describes them.
const (
	segmentStateAt  = 12 // in the header
	segmentActive   = 1
	markSlots       = 512 // the first of two
	markSize        = 512
	markCounterAt   = 8
	markOffsetAt    = 32
	segmentFramesAt = 4096
)

// tail is where the log ends on the disk.
type tail struct {
	file    string
	durable int64 // offset behind what is marked as durable
	size    int64
}

// findTail reads the durable mark of a stopped broker's last segment.
func findTail(dir string) (tail, error) {
	files, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	if err != nil {
		return tail{}, err
	}
	slices.Sort(files)
	slices.Reverse(files)
	for _, file := range files {
		head, size, err := readHead(file)
		if err != nil {
			return tail{}, err
		}
		if binary.LittleEndian.Uint32(head[segmentStateAt:]) == segmentActive {
			return tail{file: file, durable: durableOffset(head), size: size}, nil
		}
	}
	return tail{}, errors.New("no segment is active")
}

func readHead(file string) (head []byte, size int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	head = make([]byte, segmentFramesAt)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", filepath.Base(file), err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	return head, info.Size(), nil
}

// durableOffset is that of the newer mark.
func durableOffset(head []byte) int64 {
	newest, offset := uint64(0), uint64(segmentFramesAt)
	for slot := range 2 {
		mark := head[markSlots+slot*markSize:]
		if counter := binary.LittleEndian.Uint64(mark[markCounterAt:]); counter > newest {
			newest, offset = counter, binary.LittleEndian.Uint64(mark[markOffsetAt:])
		}
	}
	return int64(offset)
}

// change applies a function to part of a file.
func change(file string, offset int64, length int, apply func(part []byte)) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	part := make([]byte, length)
	n, err := f.ReadAt(part, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	apply(part[:n])
	_, err = f.WriteAt(part[:n], offset)
	return err
}
