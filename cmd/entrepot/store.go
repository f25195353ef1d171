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
		Long: `Reads the whole log and every table of the pages, checks their checksums, and
changes nothing. Ends with 1 if anything is damaged, and says what to do.`,
		Example: "  entrepot store check --data-dir /var/lib/entrepot",
		Args:    arguments(0),
		RunE: func(*cobra.Command, []string) error {
			dir, err := p.storeDir(dataDir)
			if err != nil {
				return err
			}
			return errors.Join(p.checkLog(filepath.Join(dir, "log")), p.checkPages(filepath.Join(dir, "pages")))
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "the broker's data directory (default ENTREPOT_DATA_DIR or ./data)")
	return cmd
}

func (p *program) checkLog(dir string) error {
	r, err := log.Check(disk.OS{}, dir)
	if err != nil {
		return fmt.Errorf("check the log: %w", err)
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
		return fmt.Errorf("the log is damaged: %w", r.Damage)
	}
	return nil
}

func (p *program) checkPages(dir string) error {
	r, err := pages.Check(dir)
	if err != nil {
		return fmt.Errorf("check the pages: %w", err)
	}
	fmt.Fprintf(p.out, "pages: %d tables, %d bytes, checkpoint at index %d\n", r.Tables, r.Bytes, r.Mark.Index)
	var damage []error
	for _, d := range r.Damage {
		damage = append(damage, fmt.Errorf("the pages are damaged: %w", d))
	}
	return errors.Join(damage...)
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
					return out.Encode(dumpedPage{Key: hex.EncodeToString(key), Bytes: len(value)})
				})
			}
			d := logDumper{out: out}
			return log.Dump(disk.OS{}, filepath.Join(dir, "log"), d.entry)
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "the broker's data directory (default ENTREPOT_DATA_DIR or ./data)")
	cmd.Flags().StringVar(&part, "part", "log", "log or pages")
	return cmd
}

// dumpedPage is an entry of the pages; core/store describes the keys.
type dumpedPage struct {
	Key   string `json:"key"`
	Bytes int    `json:"bytes"`
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
}

var opNames = map[store.OpKind]string{
	store.OpPublish: "publish", store.OpAck: "ack", store.OpAttempt: "attempt", store.OpCreate: "create",
	store.OpDelete: "delete", store.OpSubscribe: "subscribe", store.OpUnsubscribe: "unsubscribe", store.OpTransient: "transient",
}

// logDumper joins the entries of the log to records and prints them.
type logDumper struct {
	out    *json.Encoder
	record []byte // what came of a record in several entries
}

func (d *logDumper) entry(e log.Entry) error {
	if e.Kind == "full" || e.Kind == "first" {
		d.record = d.record[:0]
	}
	d.record = append(d.record, e.Data...)
	if e.Kind != "full" && e.Kind != "last" {
		return nil
	}
	r := dumpedRecord{Index: e.Index, Epoch: e.Epoch, Time: e.Time, File: e.File}
	ops, err := store.DecodeOps(nil, d.record)
	if err != nil {
		r.Fault = err.Error()
	}
	for i := range ops {
		r.Ops = append(r.Ops, dumpOp(&ops[i]))
	}
	return d.out.Encode(r)
}

func dumpOp(op *store.Op) dumpedOp {
	out := dumpedOp{Op: opNames[op.Kind], Queue: op.Queue, Position: op.Pos, Count: op.N, Bytes: len(op.Data)}
	if op.Msg != nil {
		out.Destination = op.Msg.Destination.String()
		out.MessageID = op.Msg.ID.String()
		out.Bytes = len(op.Msg.Payload())
	}
	return out
}
