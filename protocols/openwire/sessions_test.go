package openwire

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// session is a recorded conversation of a client written by others with
// ActiveMQ 5.17, on one or more connections.
type session struct {
	Name        string
	Connections []struct {
		Connection int
		Negotiated struct {
			Version    int
			Tight      bool
			Cache      bool
			CacheSize  int
			StackTrace bool
		}
		Frames []struct {
			N   int
			Dir string
			Ms  int
			Hex string
		}
	}
}

// recordedWith is how ActiveMQ was configured for a session, where that wasn't
// its default.
var recordedWith = map[string]func(*testing.T, *broker.Options){
	"broker-prefetch-policy": policyFor(message.Queue(">"), func(p *policy.Policy) { p.Prefetch.Queue = 0 }),
	"slow-consumer-abort": policyFor(message.Topic(">"), func(p *policy.Policy) {
		p.Pending.Limit = 1
		p.Slow = policy.Slow{Abort: policy.AbortSlow, Check: 20 * time.Millisecond, Duration: 50 * time.Millisecond}
	}),
	"advisories-all": func(t *testing.T, o *broker.Options) {
		told := func(p *policy.Policy) { p.Advise = policy.Advise{Delivered: true, Consumed: true, Body: true} }
		policyFor(message.Queue(">"), told)(t, o)
		policyFor(message.Topic(">"), told)(t, o)
	},
	"auth-ok":      withUsers,
	"auth-failure": withUsers,
	"nms-auth":     withUsers,
	"cpp-auth":     withUsers,
}

// difference is what isn't as in a recording, and on purpose.
type difference struct {
	unsaid []int    // numbers of frames that the broker doesn't send
	said   []string // what some begin with that it sends and ActiveMQ didn't
}

var differences = map[string]difference{
	// To remove what isn't there, without asking for an answer, is no error.
	"errors": {unsaid: []int{20}},
	// A message to several topics comes from each to whom a pattern selects
	// several of them.
	"topic-wildcard-nolocal": {said: []string{"dispatch to {ConnectionID:ID:testhost-34657-1795198307127-30:1 SessionID:1 Value:1} from topic://T.B"}},
	// The recording ends before the client hears of its temporary queue again.
	"cpp-failover": {said: []string{"dispatch to {ConnectionID:ID:vm-36885-1795200527310-0:0 SessionID:-1 Value:1} from topic://ActiveMQ.Advisory.TempQueue"}},
	// Messages that expired or are dead letters weren't consumed; the removal of
	// a durable subscription is not told; who asks for all learns of all.
	"advisories-all": {unsaid: []int{53, 64, 81}, said: []string{advisoryOf("Connection"), advisoryOf("Producer.Anonymous")}},
	// A duplex bridge is served in its own direction.
	"network-bridge-duplex": {unsaid: []int{9, 10, 11, 12, 13, 19, 21, 24}},
}

func advisoryOf(topic string) string {
	return "dispatch to {ConnectionID:ID:testhost-34657-1795198307127-85:1 SessionID:1 Value:1} from topic://ActiveMQ.Advisory." + topic
}

// besides is what others did with the broker, before frames of a recording.
var besides = map[string]map[int]func(*replay){
	"network-bridge": {
		9:  func(r *replay) { r.other = r.rig.connect("other"); r.other.consume(1, queueNamed("NET.Q"), 10) },
		14: func(r *replay) { _ = r.other.net.Close() },
	},
	"advisories-all":     {57: func(*replay) { time.Sleep(200 * time.Millisecond) }}, // until the message has expired
	"destination-source": {1: (*replay).makeDestinations},
}

// makeDestinations makes what there was of earlier sessions.
func (r *replay) makeDestinations() {
	past := wire.NewDecoder(r.lines[1].recorded)
	for _, s := range r.steps()[1:] {
		if s.fromClient || s.n == 2 {
			continue
		}
		m := dispatched(r.decode(past, s))
		if m == nil {
			continue
		}
		if info, ok := m.DataStructure.(*wire.DestinationInfo); ok && info.OperationType == destinationAdd {
			d, err := resolve(info.Destination, false)
			if err != nil {
				r.t.Fatal(err)
			}
			create := r.rig.broker.CreateQueue
			if d.Kind == message.KindTopic {
				create = r.rig.broker.CreateTopic
			}
			if _, err := create(d.Name); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func policyFor(d message.Destination, apply func(*policy.Policy)) func(*testing.T, *broker.Options) {
	return func(_ *testing.T, o *broker.Options) {
		o.Policies = append(o.Policies, policy.Entry{Pattern: d, Apply: apply})
	}
}

func withUsers(t *testing.T, o *broker.Options) {
	t.Helper()
	hash, err := security.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	users, permissions := filepath.Join(t.TempDir(), "users"), filepath.Join(t.TempDir(), "permissions")
	for name, text := range map[string]string{users: "alice:" + hash + "\n", permissions: "queue://> all *\ntopic://> all *\ntemp://> all *\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if o.Security, err = security.Open(security.Options{Users: users, Permissions: permissions}); err != nil {
		t.Fatal(err)
	}
}

func recordedSessions(t *testing.T) []session {
	t.Helper()
	f, err := os.Open("wire/testdata/vectors.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Conversations []session }
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v.Conversations
}

// Every recorded client is served as ActiveMQ served it: its commands are sent
// again, each when the broker has said what ActiveMQ had said before it.
func TestRecordedSessionsAreAnsweredAsActiveMQDid(t *testing.T) {
	for _, s := range recordedSessions(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			newReplay(t, s).run()
		})
	}
}

// replay plays a session's client.
type replay struct {
	t       *testing.T
	rig     *rig
	session session
	lines   map[int]*line
	ids     map[string]*wire.MessageID // ours, by ActiveMQ's
	numbers map[int64]int64            // the same of broker sequence ids
	other   *peer                      // who else uses the broker
}

// line is a connection of a replay: the recorded one, decoded, and the live one.
type line struct {
	recorded     wire.Format
	client, past *wire.Decoder // of the recording: what the client, what ActiveMQ said
	encoder      *wire.Encoder
	live         *wire.Decoder
	net          net.Conn

	spoken, greeted bool // the frame that negotiates is behind

	mu    sync.Mutex
	heard []wire.Structure // by the live client, not yet matched
	more  chan struct{}
	ended bool
}

// step is a frame of a recording.
type step struct {
	line       int
	n          int
	fromClient bool
	frame      []byte
	last       bool // of its line
}

func newReplay(t *testing.T, s session) *replay {
	t.Helper()
	options := protocols.Values{optTight: "true", optCache: "true"}
	var mods []func(*broker.Options)
	if with := recordedWith[s.Name]; with != nil {
		mods = append(mods, func(o *broker.Options) { with(t, o) })
	}
	return &replay{
		t: t, rig: newRig(t, options, mods...), session: s,
		lines: map[int]*line{}, ids: map[string]*wire.MessageID{}, numbers: map[int64]int64{},
	}
}

func (r *replay) steps() (list []step) {
	for _, c := range r.session.Connections {
		for i, f := range c.Frames {
			frame, err := hex.DecodeString(f.Hex)
			if err != nil {
				r.t.Fatal(err)
			}
			list = append(list, step{c.Connection, f.N, f.Dir == "C>B", frame[4:], i == len(c.Frames)-1})
		}
	}
	slices.SortStableFunc(list, func(a, b step) int { return a.n - b.n })
	return list
}

func (r *replay) run() {
	for _, c := range r.session.Connections {
		n := c.Negotiated
		f := wire.Format{Version: n.Version, Tight: n.Tight, Trace: n.StackTrace}
		if n.Cache {
			f.CacheSize = n.CacheSize
		}
		ours := f
		ours.Trace = false
		r.lines[c.Connection] = &line{
			recorded: f, client: wire.NewDecoder(f), past: wire.NewDecoder(f),
			encoder: wire.NewEncoder(ours), live: wire.NewDecoder(ours), more: make(chan struct{}, 1),
		}
	}
	for _, s := range r.steps() {
		if do := besides[r.session.Name][s.n]; do != nil {
			do(r)
		}
		l := r.lines[s.line]
		if l.net == nil {
			r.open(l)
		}
		if s.fromClient {
			r.say(l, s)
		} else {
			r.expect(l, s)
		}
		if s.last {
			_ = l.net.Close()
		}
	}
	for _, l := range r.lines {
		r.nothingElse(l)
	}
}

func (r *replay) open(l *line) {
	l.net = r.rig.dial()
	go l.listen()
}

// listen collects what the broker says until the connection ends.
func (l *line) listen() {
	in, first := bufio.NewReader(l.net), wire.NewDecoder(wire.Format{})
	for {
		s, err := readFrame(in, first, l.live)
		l.mu.Lock()
		if err != nil {
			l.ended = true
		} else {
			l.heard = append(l.heard, s)
		}
		l.mu.Unlock()
		select {
		case l.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
		first = nil
	}
}

// readFrame reads a frame, with first if there is one.
func readFrame(in io.Reader, first, d *wire.Decoder) (wire.Structure, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, err
	}
	if first != nil {
		d = first
	}
	return d.Decode(frame)
}

// say sends what the client said, with our broker's ids and on our clock.
func (r *replay) say(l *line, s step) {
	r.t.Helper()
	if !l.spoken {
		l.spoken = true
		r.write(l, wire.NewEncoder(wire.Format{}), r.decode(wire.NewDecoder(wire.Format{}), s))
		return
	}
	x := r.decode(l.client, s)
	switch x := x.(type) {
	case wire.Message:
		r.onOurClock(x.Fields())
	case *wire.MessageAck:
		x.FirstMessageID, x.LastMessageID = r.ours(x.FirstMessageID), r.ours(x.LastMessageID)
	case *wire.RemoveInfo:
		if n, ok := r.numbers[x.LastDeliveredSequenceID]; ok {
			x.LastDeliveredSequenceID = n
		}
	}
	r.write(l, l.encoder, x)
}

func (r *replay) decode(d *wire.Decoder, s step) wire.Structure {
	r.t.Helper()
	x, err := d.Decode(s.frame)
	if err != nil {
		r.t.Fatalf("frame %d: %v", s.n, err)
	}
	return x
}

func (r *replay) write(l *line, e *wire.Encoder, x wire.Structure) {
	r.t.Helper()
	frame, err := e.Append(nil, x)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := l.net.Write(frame); err != nil {
		r.t.Fatal(err)
	}
}

// onOurClock shifts a message's times: what had a second to live then has one
// now.
func (r *replay) onOurClock(m *wire.BaseMessage) {
	if m.Timestamp == 0 {
		return
	}
	shift := time.Now().UnixMilli() - m.Timestamp
	m.Timestamp += shift
	if m.Expiration != 0 {
		m.Expiration += shift
	}
}

// ours returns the id that our broker gave what ActiveMQ had named x.
func (r *replay) ours(x *wire.MessageID) *wire.MessageID {
	if x == nil {
		return nil
	}
	if id, ok := r.ids[nameID(x)]; ok {
		return id
	}
	return x
}

// expect waits until the broker has said what ActiveMQ said.
func (r *replay) expect(l *line, s step) {
	r.t.Helper()
	if !l.greeted {
		l.greeted = true
		s.frame = nil // each broker introduces itself in its own words
		r.await(l, s.n, "WireFormatInfo")
		return
	}
	x := r.decode(l.past, s)
	if unimportant(x) || slices.Contains(differences[r.session.Name].unsaid, s.n) {
		return
	}
	heard := r.await(l, s.n, describe(x))
	if then, now := dispatched(x), dispatched(heard); then != nil {
		r.ids[nameID(then.MessageID)] = now.MessageID
		r.numbers[then.MessageID.BrokerSequenceID] = now.MessageID.BrokerSequenceID
	}
}

func dispatched(s wire.Structure) *wire.BaseMessage {
	if d, ok := s.(*wire.MessageDispatch); ok && d.Message != nil {
		return d.Message.Fields()
	}
	return nil
}

func (r *replay) await(l *line, n int, want string) wire.Structure {
	r.t.Helper()
	deadline := time.After(testWait)
	for {
		l.mu.Lock()
		i := slices.IndexFunc(l.heard, func(s wire.Structure) bool { return describe(s) == want })
		if i >= 0 {
			s := l.heard[i]
			l.heard = slices.Delete(l.heard, i, i+1)
			l.mu.Unlock()
			return s
		}
		ended := l.ended
		l.mu.Unlock()
		if ended {
			r.t.Fatalf("frame %d: the connection ended before\n\t%s\nheard\n%s", n, want, l.unmatched(nil))
		}
		select {
		case <-l.more:
		case <-deadline:
			r.t.Fatalf("frame %d: the broker does not say\n\t%s\nbut\n%s", n, want, l.unmatched(nil))
		}
	}
}

// unmatched lists what was heard and is not in the recording, less what begins
// with but.
func (l *line) unmatched(but []string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, s := range l.heard {
		if text := describe(s); !unimportant(s) && !slices.ContainsFunc(but, func(b string) bool { return strings.HasPrefix(text, b) }) {
			fmt.Fprintf(&b, "\t%s\n", text)
		}
	}
	return b.String()
}

func (r *replay) nothingElse(l *line) {
	r.t.Helper()
	if rest := l.unmatched(differences[r.session.Name].said); rest != "" {
		r.t.Errorf("the broker says what ActiveMQ did not:\n%s", rest)
	}
}

// unimportant are frames that come when the time for them comes.
func unimportant(s wire.Structure) bool {
	switch s.(type) {
	case nil, *wire.KeepAliveInfo, *wire.ConnectionControl:
		return true
	}
	return false
}

// describe says what clients rely on in a broker's command.
func describe(s wire.Structure) string {
	switch x := s.(type) {
	case *wire.Response:
		return fmt.Sprintf("Response to %d", x.CorrelationID)
	case *wire.ExceptionResponse:
		return fmt.Sprintf("ExceptionResponse to %d: %s", x.CorrelationID, x.Exception.Class)
	case *wire.IntegerResponse:
		return fmt.Sprintf("IntegerResponse to %d: %d", x.CorrelationID, x.Result)
	case *wire.DataArrayResponse:
		var ids []string
		for _, id := range x.Data {
			ids = append(ids, fmt.Sprintf("%+v", id))
		}
		slices.Sort(ids)
		return fmt.Sprintf("DataArrayResponse to %d: %s", x.CorrelationID, ids)
	case *wire.ConnectionError:
		return "ConnectionError " + x.Exception.Class.String()
	case *wire.ConsumerControl:
		return fmt.Sprintf("ConsumerControl of %+v at %s: prefetch %d, close %t", *x.ConsumerID, nameOf(x.Destination), x.Prefetch, x.Close)
	case *wire.ProducerAck:
		return fmt.Sprintf("ProducerAck of %d to %+v", x.Size, *x.ProducerID)
	case *wire.MessageDispatch:
		return describeDispatch(x)
	case nil:
		return "nothing"
	}
	return s.StructureType().String()
}

func describeDispatch(d *wire.MessageDispatch) string {
	to := fmt.Sprintf("dispatch to %+v from %s", *d.ConsumerID, nameOf(d.Destination))
	if d.Message == nil {
		return to + ": none"
	}
	m := d.Message.Fields()
	if strings.HasPrefix(nameOf(d.Destination), "topic://ActiveMQ.Advisory.") {
		data := "no command"
		if _, ok := m.DataStructure.(wire.Message); ok {
			data = "a message"
		} else if m.DataStructure != nil {
			data = m.DataStructure.StructureType().String()
		}
		return fmt.Sprintf("%s: advisory with %s", to, data)
	}
	props, err := wire.ReadMap(m.MarshalledProperties)
	if err != nil && m.MarshalledProperties != nil {
		return to + ": " + err.Error()
	}
	props = slices.DeleteFunc(props, func(p message.Property) bool {
		switch p.Name {
		case broker.DeadLetterOrigin, broker.DeadLetterTime, broker.DeadLetterCount: // of ours only
			return true
		case broker.DeadLetterExpiration: // of ours only where there was one
			return p.Value.String() == "0"
		}
		return false
	})
	for i := range props {
		if props[i].Name == "scheduledJobId" { // each broker's own
			props[i].Value = message.Null()
		}
	}
	slices.SortFunc(props, func(a, b message.Property) int { return strings.Compare(a.Name, b.Name) })
	return fmt.Sprintf("%s: %s %s again %d, sent to %s, originally %s, persistent %t, priority %d, expires %t, group %s %d first %t, correlation %s, reply to %s, type %s, compressed %t, content %x, properties %v",
		to, d.Message.StructureType(), nameID(m.MessageID), d.RedeliveryCounter, nameOf(m.Destination), originOf(m), m.Persistent, m.Priority, m.Expiration != 0,
		m.GroupID, m.GroupSequence, m.JMSXGroupFirstForConsumer, m.CorrelationID, nameOf(m.ReplyTo), m.Type, m.Compressed, m.Content, props)
}

func nameID(id *wire.MessageID) string {
	if id == nil {
		return "no id"
	}
	return fmt.Sprintf("%+v %s:%d", *id.ProducerID, id.TextView, id.ProducerSequenceID)
}

// originOf leaves out what ActiveMQ says of composite destinations.
func originOf(m *wire.BaseMessage) string {
	if name := nameOf(m.OriginalDestination); !strings.Contains(name, ",") {
		return name
	}
	return nameOf(nil)
}

func nameOf(d wire.Destination) string {
	switch d := d.(type) {
	case nil:
		return "nowhere"
	case *wire.ActiveMQQueue:
		return "queue://" + d.Name()
	case *wire.ActiveMQTopic:
		return "topic://" + d.Name()
	case *wire.ActiveMQTempQueue:
		return "temp-queue://" + d.Name()
	}
	return "temp-topic://" + d.Name()
}
