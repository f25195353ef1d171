package pages

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// Verify says how much Open reads of the tables to find damage.
type Verify uint8

const (
	// VerifyBlocks reads every block of every table: at the speed of the disk.
	VerifyBlocks Verify = iota
	// VerifyIndexes reads only each table's index; values are still verified when they are read.
	VerifyIndexes
)

// DefaultMinFree is Options.MinFree if nothing else is said.
const DefaultMinFree = 128 << 20

// Options configure Open. Zero values mean the defaults named here.
type Options struct {
	Dir    string       // created if it is missing
	Logger *slog.Logger // Badger's messages go here, at debug and warn; none are kept if it is nil

	// Apart says of which keys large values stand in value files, which a merge of tables doesn't write
	// again, and not in the tables, where Scan reads them faster. nil: of all keys.
	Apart func(key []byte) bool
	// ValueFile is how many bytes a value file gets: the unit in which space comes back; 1 MiB to 1 GiB,
	// default 64 MiB.
	ValueFile int64
	// FS is where value files are; nil: the operating system's.
	FS disk.FS

	MemTable   int // MiB per memory table, 8 to 512; default 8
	MemTables  int // memory tables that may wait to be written; default 2
	BaseTable  int // MiB per table file at the upper levels, 1 to 256; default 16
	BlockCache int // MiB; default 0: blocks are mapped, and neither compressed nor encrypted
	Verify     Verify

	// MinFree: bytes that must be free on the disk to begin a checkpoint, half of it to go on with
	// one. Badger writes through mappings, where a full disk kills the process. Default 128 MiB: its
	// memory tables and what a merge of its tables writes, without the values that stand apart.
	MinFree int64
	// Free returns the bytes free on the disk of dir; nil asks the operating system.
	Free func(dir string) (int64, error)

	// Maintain works when more than DeadBytes (default 1 GiB) and more than DeadPercent (default 50)
	// of the disk space are dead.
	DeadBytes   int64
	DeadPercent int
}

func (o Options) withDefaults() (Options, error) {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.MemTable, 8)
	set(&o.MemTables, 2)
	set(&o.BaseTable, 16)
	set(&o.DeadPercent, 50)
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.DeadBytes == 0 {
		o.DeadBytes = 1 << 30
	}
	if o.ValueFile == 0 {
		o.ValueFile = 64 << 20
	}
	if o.Apart == nil {
		o.Apart = func([]byte) bool { return true }
	}
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Free == nil {
		o.Free = freeSpace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.check()
}

func (o Options) check() error {
	between := func(name string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("page store: %s is %d, allowed are %d to %d", name, v, low, high)
		}
		return nil
	}
	if o.Dir == "" {
		return errors.New("page store: no directory")
	}
	if o.ValueFile < 1<<20 || o.ValueFile > maxValueFile {
		return fmt.Errorf("page store: ValueFile is %d, allowed are %d to %d", o.ValueFile, 1<<20, maxValueFile)
	}
	return errors.Join(
		between("MemTable", o.MemTable, 8, 512),
		between("MemTables", o.MemTables, 1, 16),
		between("BaseTable", o.BaseTable, 1, 256),
		between("BlockCache", o.BlockCache, 0, 1<<20),
		between("DeadPercent", o.DeadPercent, 1, 100),
	)
}

// badgerLevels is Badger's MaxLevels; a table that the MANIFEST puts elsewhere is damage.
const badgerLevels = 7

func (o Options) badger(readOnly bool) badger.Options {
	b := badger.DefaultOptions(o.Dir)
	b.ReadOnly = readOnly
	b.Logger = badgerLog{o.Logger}
	b.SyncWrites = true // unsynced memory tables lose their middle in a power failure, not their end
	b.DetectConflicts = false
	b.NumVersionsToKeep = 1
	b.MetricsEnabled = false
	b.Compression = options.None
	// Badger treats a block with a wrong checksum as one that ends there, also when it merges tables,
	// and so loses what follows. Our own checksum goes with each value wherever Badger copies it.
	b.ChecksumVerificationMode = options.NoVerification
	b.ValueThreshold = 1 << 20   // above MaxValue: nothing goes to the value log
	b.ValueLogFileSize = 1 << 20 // smallest allowed, the file stays empty
	b.MemTableSize = int64(o.MemTable) << 20
	b.NumMemtables = o.MemTables
	b.BaseTableSize = int64(o.BaseTable) << 20
	b.BaseLevelSize = 4 * b.BaseTableSize
	// A page of messages of 1 KiB is a block. Badger makes a block's buffer grow by doubling, and keeps what
	// it grew out of until the table is written: with its 4 KiB, four times a table's size.
	b.BlockSize = 80 << 10
	b.BlockCacheSize = int64(o.BlockCache) << 20
	b.IndexCacheSize = 0
	b.NumLevelZeroTables = 3
	b.NumLevelZeroTablesStall = 8
	b.NumCompactors = 2
	b.NumGoroutines = 2
	b.MaxLevels = badgerLevels
	return b
}
