package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

const linesType = "application/x-ndjson"

// export streams the messages of a queue as JSON lines, each with its payload
// as it was published. Nothing is consumed.
func (c *call) export() error {
	q, err := c.query("selector", "from")
	if err != nil {
		return err
	}
	name, from := c.r.PathValue("name"), q.Get("from")
	flush := c.flusher()
	lines := json.NewEncoder(c.w)
	for begun := false; ; begun = true {
		page, err := c.b.Browse(name, broker.Browse{From: from, Limit: broker.MaxPage, Selector: q.Get("selector")})
		if err != nil {
			if begun {
				panic(http.ErrAbortHandler) // the client sees that the answer is cut off
			}
			return err
		}
		if !begun {
			c.w.Header().Set("Content-Type", linesType)
		}
		for i := range page.Messages {
			if err := lines.Encode(exported(page.Messages[i].Message)); err != nil {
				return nil //nolint:nilerr // the client is gone
			}
		}
		if err := flush(); err != nil {
			return nil //nolint:nilerr // the client is gone
		}
		if from = page.Next; from == "" {
			return nil
		}
	}
}

// exported is a message with all that import needs to make it again.
func exported(m *message.Message) messageModel {
	out := showEnvelope(m)
	out.ID = broker.ExportedID(m)
	out.Encoding, out.Payload, out.Redeliveries = m.Encoding().String(), m.Payload(), 0
	return out
}

// imported is how far an import came. Lines are counted from 1.
type imported struct {
	Imported   int `json:"imported"`
	Duplicates int `json:"duplicates"`
	Lines      int `json:"lines"`
}

// Bounds of an import.
const (
	maxLine     = 150 << 20 // bytes: a message of the broker's usual limit in base64
	importBatch = 256       // messages to a record of the log
	importBytes = 1 << 20   // of their payloads; one message may have more
)

// importMessages sends what export wrote. A line whose id waits in the queue
// is left out, so that an import that was cut can simply be repeated.
func (c *call) importMessages() error {
	q, err := c.query("create")
	if err != nil {
		return err
	}
	create, err := truth(q, "create")
	if err != nil {
		return err
	}
	d := message.Queue(c.r.PathValue("name"))
	if err := c.mayWrite(d, create); err != nil {
		return err
	}
	if _, err := c.b.Queue(d.Name); err != nil && !create {
		return err
	}
	known, err := c.b.Imported(d.Name)
	if err != nil {
		return err
	}
	i := importer{call: c, to: d, create: create, known: known}
	if err := i.run(); err != nil {
		p := asProblem(err)
		if p.more == nil {
			p.more = make(map[string]any)
		}
		p.more["imported"], p.more["duplicates"], p.more["line"] = i.done.Imported, i.done.Duplicates, i.done.Lines+1
		return &problem{status: p.status, detail: fmt.Sprintf("line %d: %s", i.done.Lines+1, p.detail), more: p.more}
	}
	return c.json(http.StatusOK, i.done)
}

type importer struct {
	*call
	to     message.Destination
	create bool
	known  map[string]struct{}
	batch  []*message.Message
	bytes  int
	lines  int // read, of the batch too
	dups   int // in the batch
	done   imported
}

func (i *importer) run() error {
	control := http.NewResponseController(i.w)
	in := bufio.NewReaderSize(i.r.Body, 64<<10)
	for {
		// The connection's deadline moves as long as lines come.
		if err := control.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		line, err := readLine(in)
		if len(line) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			if addErr := i.add(line); addErr != nil {
				return addErr
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := control.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
			return i.flush()
		case err != nil:
			return errors.Join(i.flush(), err)
		}
	}
}

// readLine returns a line without its end.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, &problem{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("the line is longer than %d bytes", maxLine)}
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(line), err
		}
	}
}

// add takes a line; what was complete before a wrong one is sent first.
func (i *importer) add(line []byte) error {
	var m messageModel
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(&m)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return errors.Join(i.flush(), invalid("not a message: %v", err))
	}
	i.lines++
	if _, again := i.known[m.ID]; again && m.ID != "" {
		i.dups++
		return nil
	}
	msg, err := i.build(i.b, &m, i.to)
	if err != nil {
		i.lines--
		return errors.Join(i.flush(), err)
	}
	msg = msg.With(func(e *message.Envelope) { i.restore(e, &m) })
	if m.ID != "" {
		i.known[m.ID] = struct{}{}
	}
	i.batch = append(i.batch, msg)
	if i.bytes += len(msg.Raw()); len(i.batch) >= importBatch || i.bytes >= importBytes {
		return i.flush()
	}
	return nil
}

// restore sets what an import keeps and a send may not choose.
func (i *importer) restore(e *message.Envelope, m *messageModel) {
	e.UserID = m.UserID
	if i.who.principal != nil {
		e.UserID = i.who.name
	}
	if o, err := message.ParseDestination(m.Origin, message.KindNone); err == nil && m.Origin != "" {
		e.Origin = o
	}
	for _, a := range m.Annotations {
		if a.Name != broker.ImportID {
			e.Annotations = append(e.Annotations, message.Annotation(a))
		}
	}
	if m.ID != "" {
		e.Annotations = append(e.Annotations, message.Annotation{Name: broker.ImportID, Value: m.ID})
	}
}

// flush sends the batch as one record.
func (i *importer) flush() error {
	if len(i.batch) > 0 {
		if err := i.b.Send(i.create, i.batch...); err != nil {
			i.lines = i.done.Lines
			i.batch, i.bytes, i.dups = nil, 0, 0
			return err
		}
	}
	i.done.Imported += len(i.batch)
	i.done.Duplicates += i.dups
	i.done.Lines = i.lines
	i.batch, i.bytes, i.dups = nil, 0, 0
	return nil
}
