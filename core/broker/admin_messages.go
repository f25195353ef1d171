package broker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Bounds of what administrators do with messages at a time. What is more is
// done in several steps, each of them whole.
const (
	MaxTransfer      = 10_000   // messages of a move, copy, retry or delete
	maxTransferBytes = 16 << 20 // of their bodies; one message may have more
	maxBrowseBytes   = 8 << 20  // of a page of browsing; one message may have more
	maxExamined      = 100_000  // messages that a selector is asked about
)

// MessageRef names a message where it waits.
type MessageRef struct {
	Pos uint64
	ID  message.ID
}

// String returns the form that ParseRef reads.
func (r MessageRef) String() string {
	return fmt.Sprintf("%x.%x.%x", r.Pos, r.ID.Hi, r.ID.Lo)
}

// ParseRef reads what String returned.
func ParseRef(s string) (r MessageRef, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return r, fail(CodeInvalid, "find the message", "%.64q is not a reference to a message", s)
	}
	for i, n := range []*uint64{&r.Pos, &r.ID.Hi, &r.ID.Lo} {
		if *n, err = strconv.ParseUint(parts[i], 16, 64); err != nil {
			return r, fail(CodeInvalid, "find the message", "%.64q is not a reference to a message", s)
		}
	}
	return r, nil
}

// Waiting is a message as it waits in a queue.
type Waiting struct {
	Ref MessageRef
	queue.Entry
}

// Browse asks for a page of the messages of a queue.
type Browse struct {
	From     string // where the page before ended, "" for the beginning
	Limit    int    // up to MaxPage; 0 for 100
	Selector string
}

// Browsed is a page of messages. Next is where to go on, "" at the end. With
// a selector a page may hold less than the limit, even nothing, and more follow.
type Browsed struct {
	Messages []Waiting
	Next     string
}

// Browse returns a page of what waits in a queue, without changing anything.
func (b *Broker) Browse(name string, o Browse) (out Browsed, err error) {
	q, err := b.existing("browse", message.Queue(name))
	if err != nil {
		return out, err
	}
	return b.browse(q, o)
}

func (b *Broker) browse(q *queue.Queue, o Browse) (out Browsed, err error) {
	filter, err := b.adminFilter("browse "+q.Destination().Name, o.Selector)
	if err != nil {
		return out, err
	}
	if o.Limit <= 0 {
		o.Limit = 100
	}
	limit, size, examined := min(o.Limit, MaxPage), 0, 0
	out.Next, err = b.scan(q, o.From, func(e queue.Entry) bool {
		examined++
		if filter == nil || filter.Matches(e.Message) {
			out.Messages = append(out.Messages, Waiting{MessageRef{e.Pos, e.Message.ID}, e})
			size += e.Message.Size()
		}
		return len(out.Messages) < limit && size < maxBrowseBytes && examined < maxExamined
	})
	return out, err
}

// scan is queue.Scan with a cursor that clients keep.
func (b *Broker) scan(q *queue.Queue, from string, fn func(queue.Entry) bool) (next string, err error) {
	pos := uint64(0)
	if from != "" {
		if pos, err = strconv.ParseUint(from, 16, 64); err != nil {
			return "", fail(CodeInvalid, "browse", "%.64q is not where a page ended", from)
		}
	}
	at, more, err := q.Scan(b.store.Pages(), pos, from == "", fn)
	if err != nil || !more {
		return "", err
	}
	return strconv.FormatUint(at, 16), nil
}

// Message returns one message that waits in a queue.
func (b *Broker) Message(name string, ref MessageRef) (Waiting, error) {
	q, err := b.existing("show a message of", message.Queue(name))
	if err != nil {
		return Waiting{}, err
	}
	e, ok, err := q.At(b.store.Pages(), ref.Pos)
	if err != nil {
		return Waiting{}, err
	}
	if !ok || e.Message.ID != ref.ID {
		return Waiting{}, fail(CodeNotFound, "show a message of "+q.Destination().String(), "it is not there any more")
	}
	return Waiting{ref, e}, nil
}

// Purge removes all messages that wait in a queue, in memory and on disk, as
// one change; those with consumers stay with them. Durable ones that are
// delivered while the purge is on its way to the log are removed too, and not
// delivered again.
func (b *Broker) Purge(name string) (removed int, err error) {
	q, err := b.existing("purge", message.Queue(name))
	if err != nil {
		return 0, err
	}
	return b.purge(q)
}

// Action is what Transfer does with messages.
type Action uint8

// The actions.
const (
	Move   Action = iota // to another queue
	Copy                 // to another queue or a topic
	Retry                // to where they were sent first, from a dead-letter queue
	Delete               // for good
)

var actionNames = [...]string{"move", "copy", "retry", "delete"}

// String returns the action's name.
func (a Action) String() string { return actionNames[a] }

// Transfer asks for messages of a queue to be moved, copied, retried or
// deleted: those of Refs, or those that Selector selects, or all.
type Transfer struct {
	Action   Action
	From     string // a queue's name
	To       message.Destination
	Create   bool // make To if it doesn't exist
	Refs     []MessageRef
	All      bool // everything, when there are neither Refs nor Selector
	Selector string
	Limit    int    // up to MaxTransfer, which is the default
	After    string // go on where the step before ended
	// Permit says whether messages may be sent back to an origin; nil permits all.
	Permit func(message.Destination) bool
}

// Transferred is what became of a step of a Transfer. Next is where to go on,
// "" when all messages were looked at.
type Transferred struct {
	Done    int
	Skipped []Skip
	Next    string
}

// Skip says why messages stayed where they are.
type Skip struct {
	Reason string
	Count  int
}

// Reasons of Skip.
const (
	SkipInFlight     = "in flight"     // with a consumer
	SkipGone         = "gone"          // consumed meanwhile
	SkipNoOrigin     = "no origin"     // nothing says where it was sent first
	SkipUnsubscribed = "no subscriber" // nobody subscribes to the topic of its origin
	SkipForbidden    = "not permitted" // to send to its origin
	SkipTooLarge     = "too large"     // above the limit of messages
)

// Transfer carries out a step: as one record of the log, so that after a
// crash all of it has happened or nothing, and no message is in both places
// or in none.
func (b *Broker) Transfer(t Transfer) (Transferred, error) {
	op := t.Action.String() + " messages of " + message.Queue(t.From).String()
	q, filter, err := b.checkTransfer(op, &t)
	if err != nil {
		return Transferred{}, err
	}
	s := transfer{b: b, t: &t, q: q, filter: filter, skipped: make(map[string]int)}
	if err := s.collect(); err != nil {
		q.GiveBack(s.held)
		return Transferred{}, err
	}
	if err := b.commitOps(op, append(q.AppendAcks(nil, s.held), s.ops...)...); err != nil {
		q.GiveBack(s.held)
		return Transferred{}, err
	}
	q.EndTransient(s.held)
	out := Transferred{Done: s.done, Next: s.next}
	for _, reason := range []string{SkipInFlight, SkipGone, SkipNoOrigin, SkipUnsubscribed, SkipForbidden, SkipTooLarge} {
		if n := s.skipped[reason]; n > 0 {
			out.Skipped = append(out.Skipped, Skip{reason, n})
		}
	}
	return out, nil
}

func (b *Broker) checkTransfer(op string, t *Transfer) (*queue.Queue, queue.Filter, error) {
	if t.Action == Move || t.Action == Copy {
		if err := b.checkTarget(op, t); err != nil {
			return nil, nil, err
		}
	}
	if len(t.Refs) == 0 && t.Selector == "" && !t.All {
		return nil, nil, fail(CodeInvalid, op, "which ones? Name messages, give a selector, or say that you want all")
	}
	if len(t.Refs) > MaxTransfer {
		return nil, nil, fail(CodeLimit, op, "%d messages at a time, the limit is %d", len(t.Refs), MaxTransfer)
	}
	if t.Limit <= 0 || t.Limit > MaxTransfer {
		t.Limit = MaxTransfer
	}
	q, err := b.existing(t.Action.String()+" messages of", message.Queue(t.From))
	if err != nil {
		return nil, nil, err
	}
	filter, err := b.adminFilter(op, t.Selector)
	return q, filter, err
}

// checkTarget refuses what would lose messages, or put them where nobody
// looks for them.
func (b *Broker) checkTarget(op string, t *Transfer) error {
	switch {
	case t.To.IsZero() || t.To.Name == "":
		return fail(CodeInvalid, op, "no destination")
	case t.To == message.Queue(t.From):
		return fail(CodeInvalid, op, "the destination is the queue itself")
	case t.To.Kind.IsTemp():
		return fail(CodeInvalid, op, "a temporary destination can't be the target")
	case t.To.Kind == message.KindTopic && t.Action == Move:
		return fail(CodeInvalid, op, "a topic keeps no messages: copy them to it, or move them to a queue")
	}
	if err := checkName(op, t.To.Name); err != nil {
		return err
	}
	if t.To.Kind.IsQueue() && !t.Create && b.queues.get(t.To) == nil {
		return fail(CodeNotFound, op, "%s does not exist; create it first, or ask for that", t.To)
	}
	return nil
}

// transfer is a step that is being carried out.
type transfer struct {
	b       *Broker
	t       *Transfer
	q       *queue.Queue
	filter  queue.Filter
	held    []uint64
	ops     []store.Op
	done    int
	bytes   int
	skipped map[string]int
	next    string
}

func (s *transfer) collect() (err error) {
	if len(s.t.Refs) > 0 {
		for _, r := range s.t.Refs {
			e, ok, err := s.q.At(s.b.store.Pages(), r.Pos)
			switch {
			case err != nil:
				return err
			case !ok || e.Message.ID != r.ID:
				s.skipped[SkipGone]++
			default:
				s.take(e)
			}
		}
		return nil
	}
	examined := 0
	s.next, err = s.b.scan(s.q, s.t.After, func(e queue.Entry) bool {
		examined++
		if s.filter == nil || s.filter.Matches(e.Message) {
			s.take(e)
		}
		return s.done < s.t.Limit && s.bytes < maxTransferBytes && examined < maxExamined
	})
	return err
}

// take holds a message and adds the op that puts it where it goes.
func (s *transfer) take(e queue.Entry) {
	m := e.Message
	to, reason := s.target(m)
	if reason != "" {
		s.skipped[reason]++
		return
	}
	var sent *message.Message
	if s.t.Action != Delete {
		if sent = s.readdress(m, to, e.Attempts); len(sent.Raw()) > s.b.o.MaxMessage {
			s.skipped[SkipTooLarge]++
			return
		}
	}
	if s.t.Action != Copy {
		if !s.q.Hold(e.Pos) {
			s.skipped[SkipInFlight]++
			return
		}
		s.held = append(s.held, e.Pos)
	}
	s.done++
	if sent != nil {
		s.bytes += len(sent.Raw())
		s.ops = s.b.publishOps(s.ops, []*message.Message{sent})
	}
}

func (s *transfer) target(m *message.Message) (to message.Destination, skip string) {
	if s.t.Action != Retry {
		return s.t.To, ""
	}
	switch to = m.Origin; {
	case to.IsZero() || to.Kind.IsTemp() || to == s.q.Destination():
		return to, SkipNoOrigin
	case s.t.Permit != nil && !s.t.Permit(to):
		return to, SkipForbidden
	case to.Kind.IsTopic():
		if r := s.b.topics.Routes(to.Name); len(r.Bindings)+len(r.Subscribers) == 0 {
			return to, SkipUnsubscribed
		}
	}
	return to, ""
}

// readdress returns m as it is sent to its new place. It has an id of its
// own: under one id there is one body.
func (s *transfer) readdress(m *message.Message, to message.Destination, attempts uint32) *message.Message {
	return m.With(func(e *message.Envelope) {
		e.ID, e.Destination = s.b.NewID(), to
		switch s.t.Action {
		case Retry:
			e.Origin, e.Redeliveries = message.Destination{}, 0
			e.Annotations = withoutCause(e.Annotations)
		case Move:
			e.Redeliveries += attempts
			if e.Origin.IsZero() {
				e.Origin = m.Destination
			}
		case Copy, Delete:
		}
	})
}

// withoutCause removes what says why a message became a dead letter.
func withoutCause(all []message.Annotation) []message.Annotation {
	kept := all[:0]
	for _, a := range all {
		if !isDeadLetterProperty(a.Name) {
			kept = append(kept, a)
		}
	}
	return kept
}

// ImportID is the annotation by which an imported message is known again.
const ImportID = "entrepotImportID"

// Imported returns the ids of the messages in a queue, and those under which
// they were imported. Nothing waits in a queue that doesn't exist.
func (b *Broker) Imported(name string) (map[string]struct{}, error) {
	ids := make(map[string]struct{})
	q := b.queues.get(message.Queue(name))
	if q == nil {
		return ids, nil
	}
	_, err := b.scan(q, "", func(e queue.Entry) bool {
		ids[ExportedID(e.Message)] = struct{}{}
		return true
	})
	return ids, err
}

// ExportedID is the id by which a message is exported: the one under which it
// was imported, if it was.
func ExportedID(m *message.Message) string {
	for _, a := range m.Annotations {
		if a.Name == ImportID {
			return a.Value
		}
	}
	return m.ID.String()
}

// SetPaused stops or restarts the deliveries of a queue. It stays so after a
// restart; a temporary queue ends before.
func (b *Broker) SetPaused(name string, on bool) error {
	doing := "resume"
	if on {
		doing = "pause"
	}
	q, err := b.existing(doing, message.Queue(name))
	if err != nil {
		return err
	}
	if q.Destination().Kind.IsTemp() {
		q.SetPaused(on)
		return nil
	}
	w := make(waiter, 1)
	b.store.Commit(store.Request{Op: pauseOp(q.Destination(), on), Done: w})
	return refused(<-w, doing+" "+q.Destination().String())
}

// adminFilter compiles an administrator's selector; "" selects all.
func (b *Broker) adminFilter(op, selector string) (queue.Filter, error) {
	f, err := b.filter(selector, "")
	if err != nil {
		return nil, fail(CodeInvalid, op, "selector: %w", err)
	}
	return f, nil
}
