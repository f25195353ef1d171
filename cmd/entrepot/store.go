package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

func (p *program) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look into a broker's data while it is stopped",
		Long:  "Reads a broker's data directory without a broker. Stop the broker first.",
		Example: `  entrepot store check --data-dir /var/lib/entrepot
  entrepot store dump --data-dir /var/lib/entrepot | head`,
	}
	asGroup(cmd)
	cmd.AddCommand(p.storeCheckCommand(), p.storeDumpCommand())
	return cmd
}

// storeDir returns the data directory that a flag or the environment names,
// and an error if there is no store in it.
func (p *program) storeDir(flag string) (string, error) {
	dir := flag
	if dir == "" {
		dir = p.getenv(config.EnvPrefix + "DATA_DIR")
	}
	if dir == "" {
		dir = config.Default().DataDir
	}
	if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%q holds no store: name the broker's data directory with --data-dir", dir)
		}
		return "", err
	}
	return dir, nil
}

func (p *program) storeCheckCommand() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read everything and report damage",
		Long: `Reads the whole log, every table and every value file of the pages, checks their
checksums, that every record can be decoded and that log and pages belong
together, and changes nothing. Ends with 1 if anything is damaged, and says what
to do.`,
		Example: "  entrepot store check --data-dir /var/lib/entrepot",
		Args:    arguments(0),
		RunE: func(*cobra.Command, []string) error {
			dir, err := p.storeDir(dataDir)
			if err != nil {
				return err
			}
			return p.checkStore(dir)
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "the broker's data directory (default ENTREPOT_DATA_DIR or ./data)")
	return cmd
}

// checkStore checks the log and the pages each, and if both are whole that they
// belong together.
func (p *program) checkStore(dir string) error {
	l, logErr := p.checkLog(filepath.Join(dir, "log"))
	r, pagesErr := p.checkPages(filepath.Join(dir, "pages"))
	if err := errors.Join(logErr, pagesErr); err != nil {
		return err
	}
	return store.CheckFit(l, r)
}

func (p *program) checkLog(dir string) (log.Report, error) {
	r, err := log.Check(disk.OS{}, dir)
	if err != nil {
		return r, fmt.Errorf("check the log: %w", err)
	}
	closed := "it was not closed: the next start reads it to its end"
	if r.Clean {
		closed = "it was closed"
	}
	fmt.Fprintf(p.out, "log: %d segments, %d records, index %d to %d, durable to %d; %s\n",
		len(r.Segments), r.Records, r.First, r.Last.Index, r.Durable, closed)
	for _, note := range r.Notes {
		fmt.Fprintf(p.out, "log: note: %s\n", note)
	}
	if r.Damage != nil {
		return r, fmt.Errorf("the log is damaged: %w", r.Damage)
	}
	if _, err := store.CheckRecords(disk.OS{}, dir); err != nil {
		return r, fmt.Errorf("the log can't be read: %w", err)
	}
	return r, nil
}

func (p *program) checkPages(dir string) (pages.Report, error) {
	r, err := pages.Check(dir)
	if err != nil {
		return r, fmt.Errorf("check the pages: %w", err)
	}
	fmt.Fprintf(p.out, "pages: %d tables, %d bytes, %d value files, checkpoint at index %d\n", r.Tables, r.Bytes, r.Values, r.Mark.Index)
	var damage []error
	for _, d := range r.Damage {
		damage = append(damage, fmt.Errorf("the pages are damaged: %w", d))
	}
	return r, errors.Join(damage...)
}

func (p *program) storeDumpCommand() *cobra.Command {
	var dataDir, part string
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print what the store holds",
		Long: `Prints every record of the log, or every entry of the pages, as a JSON object a
line. Bodies of messages are left out.`,
		Example: "  entrepot store dump\n  entrepot store dump --part pages --data-dir /var/lib/entrepot",
		Args:    arguments(0),
		RunE: func(*cobra.Command, []string) error {
			if part != "log" && part != "pages" {
				return usagef("--part %q is neither log nor pages", part)
			}
			dir, err := p.storeDir(dataDir)
			if err != nil {
				return err
			}
			out := json.NewEncoder(p.out)
			if part == "pages" {
				return pages.Dump(filepath.Join(dir, "pages"), func(key, value []byte) error {
					return out.Encode(dumpPage(key, value))
				})
			}
			return store.DumpLog(disk.OS{}, filepath.Join(dir, "log"), func(r store.LogRecord) error {
				return out.Encode(dumpRecord(&r))
			})
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "the broker's data directory (default ENTREPOT_DATA_DIR or ./data)")
	cmd.Flags().StringVar(&part, "part", "log", "log or pages")
	return cmd
}

// dumpedPage is an entry of the pages; core/store describes the keys.
type dumpedPage struct {
	Key    string `json:"key"`
	Kind   string `json:"kind"`
	Queue  uint64 `json:"queue,omitempty"`
	Lane   uint8  `json:"lane,omitempty"`
	Number uint64 `json:"number,omitempty"`
	ID     string `json:"id,omitempty"`
	Part   string `json:"part,omitempty"`
	Name   string `json:"name,omitempty"`
	Bytes  int    `json:"bytes"`
}

func dumpPage(key, value []byte) dumpedPage {
	k := store.ParseKey(key)
	out := dumpedPage{
		Key: hex.EncodeToString(key), Kind: k.Kind, Queue: k.Queue, Lane: k.Lane, Number: k.Number, ID: k.ID, Name: k.Name, Bytes: len(value),
	}
	if k.Part != 0 {
		out.Part = string(rune(k.Part))
	}
	return out
}

// dumpedRecord is a record of the log.
type dumpedRecord struct {
	Index uint64     `json:"index"`
	Epoch uint64     `json:"epoch"`
	Time  time.Time  `json:"time"`
	File  string     `json:"file"`
	Ops   []dumpedOp `json:"ops,omitempty"`
	Fault string     `json:"fault,omitempty"` // why it can't be decoded
}

// dumpedOp is one change; what its kind has no use for is left out.
type dumpedOp struct {
	Op          string `json:"op"`
	Destination string `json:"destination,omitempty"`
	MessageID   string `json:"message_id,omitempty"`
	Bytes       int    `json:"bytes,omitempty"`
	Queue       uint64 `json:"queue,omitempty"`
	Position    uint64 `json:"position,omitempty"`
	Count       uint32 `json:"count,omitempty"`
	Part        string `json:"part,omitempty"` // of the state that is changed, a letter
}

func dumpRecord(r *store.LogRecord) dumpedRecord {
	out := dumpedRecord{Index: r.Entry.Index, Epoch: r.Entry.Epoch, Time: r.Entry.Time, File: r.Entry.File}
	if r.Fault != nil {
		out.Fault = r.Fault.Error()
	}
	for i := range r.Ops {
		out.Ops = append(out.Ops, dumpOp(&r.Ops[i]))
	}
	return out
}

func dumpOp(op *store.Op) dumpedOp {
	out := dumpedOp{Op: op.Kind.String(), Queue: op.Queue, Position: op.Pos, Count: op.N, Bytes: len(op.Data)}
	if op.Kind == store.OpState {
		out.Part, out.Count = string(rune(op.N)), 0
	}
	if op.Msg != nil {
		out.Destination = op.Msg.Destination.String()
		out.MessageID = op.Msg.ID.String()
		out.Bytes = len(op.Msg.Payload())
	}
	return out
}
