package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// settings is one run, as the flags and the scenario say.
type settings struct {
	scenario string
	kind     kind

	server, protocol          string
	login, passcode, host     string
	destination, queuePrefix  string
	headers, subscribeHeaders []string

	size, window, prefetch int
	producers, consumers   int
	connections, queues    int
	messages, backlog      int64
	ahead                  int64
	rate                   float64
	ack                    string
	persistent, topic      bool
	subscribe              bool

	duration, warmup      time.Duration
	timeout, idle, settle time.Duration

	pid  int
	json bool

	command []string // startup

	// Derived by check.
	address     string
	wire        protocol
	run         uint16
	sendHeaders []header
	subHeaders  []header
}

// flagsOf describes every flag once: its name, default and meaning.
func flagsOf(fs *pflag.FlagSet, s *settings) {
	fs.StringVar(&s.scenario, "scenario", "", "preset of the flags below, see bench list; flags that are given win")
	fs.StringVar(&s.server, "server", "127.0.0.1", "broker's address, host[:port]")
	fs.StringVar(&s.protocol, "protocol", "stomp", "one of "+strings.Join(protocolNames(), ", "))
	fs.StringVar(&s.login, "login", "", "user name (RabbitMQ: guest)")
	fs.StringVar(&s.passcode, "passcode", "", "password (RabbitMQ: guest)")
	fs.StringVar(&s.host, "host", "/", "virtual host")
	fs.StringVar(&s.destination, "destination", "", "name without /queue/ or /topic/ (default: one per run; "+sharedDestination+" for fill and drain)")
	fs.StringArrayVar(&s.headers, "header", nil, "name:value added to every message sent (repeatable)")
	fs.StringArrayVar(&s.subscribeHeaders, "subscribe-header", nil, "name:value added to every subscription (repeatable)")

	fs.IntVar(&s.size, "size", 1024, "body in bytes, at least "+strconv.Itoa(stampSize))
	fs.IntVar(&s.window, "window", 0, "unconfirmed messages per publisher; 0 asks for no confirmations")
	fs.Int64Var(&s.ahead, "ahead", 0, "messages of a destination that may be sent and not delivered; 0 leaves it to the broker to slow publishers down")
	fs.IntVar(&s.prefetch, "prefetch", 1000, "unacknowledged deliveries per consumer; 0 leaves it to the broker")
	fs.IntVar(&s.producers, "producers", 1, "publishing connections")
	fs.IntVar(&s.consumers, "consumers", 1, "consuming connections")
	fs.IntVar(&s.queues, "queues", 1, "queues or topics; publisher and consumer i use number i modulo this")
	fs.IntVar(&s.connections, "connections", 1000, "idle connections of the connections scenario")
	fs.BoolVar(&s.subscribe, "subscribe", false, "connections scenario: give each a subscription to a queue of its own")
	fs.Int64Var(&s.messages, "messages", 0, "messages to publish in all, or to expect when draining; 0 goes by --duration")
	fs.Int64Var(&s.backlog, "backlog", 300_000, "messages waiting when the backlog scenario measures")
	fs.Float64Var(&s.rate, "rate", 0, "messages a second of all publishers; 0 is as fast as possible")
	fs.StringVar(&s.ack, "ack", string(ackAuto), "auto, client (cumulative) or client-individual")
	fs.BoolVar(&s.persistent, "persistent", false, "ask the broker to keep messages on disk")
	fs.StringVar(&s.queuePrefix, "queue-prefix", "", "what stands before a queue's name on the wire, if not the protocol's usual (RabbitMQ's AMQP 1.0: /queue/)")
	fs.BoolVar(&s.topic, "topic", false, "use topics: every consumer gets every message")

	fs.DurationVar(&s.duration, "duration", 10*time.Second, "how long to publish; the measurement ends with the last delivery")
	fs.DurationVar(&s.warmup, "warmup", 2*time.Second, "load before the measurement (none with --messages unless given)")
	fs.DurationVar(&s.timeout, "timeout", 30*time.Second, "give up when nothing moves for so long")
	fs.DurationVar(&s.idle, "idle", 2*time.Second, "drain: the queue is empty when nothing came for so long")
	fs.DurationVar(&s.settle, "settle", 5*time.Second, "connections, startup: pause before memory at rest is read")

	fs.IntVar(&s.pid, "pid", 0, "broker's process, for its CPU and memory (children included)")
	fs.BoolVar(&s.json, "json", false, "print one JSON object on one line")
}

// sharedDestination is the queue of fill and drain, which are two runs.
const sharedDestination = "bench.backlog"

// prepare completes s, into which fs has been parsed.
func (s *settings) prepare(fs *pflag.FlagSet, args []string) error {
	s.command = args
	if err := s.applyScenario(fs); err != nil {
		return err
	}
	return s.check()
}

// check derives what the flags imply and refuses what makes no sense. All
// complaints come at once.
func (s *settings) check() error {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	if s.wire, err = protocolNamed(s.protocol); err == nil {
		s.address, err = hostPort(s.server, s.wire.defaultPort())
	}
	note(err)
	s.sendHeaders, err = parseHeaders("--header", s.headers)
	note(err)
	s.subHeaders, err = parseHeaders("--subscribe-header", s.subscribeHeaders)
	note(err)
	note(s.checkNumbers())
	note(s.checkShape())
	s.run = 0
	if !s.kind.sharesQueue() {
		s.run = uint16(1 + rand.IntN(maxRun-1)) //nolint:gosec // tells runs apart, guards nothing
	}
	return errors.Join(errs...)
}

func (s *settings) checkNumbers() error {
	var errs []error
	between := func(flag string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("--%s %d is not between %d and %d", flag, v, low, high))
		}
	}
	between("size", int64(s.size), stampSize, 100<<20)
	between("window", int64(s.window), 0, 1<<20)
	between("ahead", s.ahead, 0, maxSequence)
	between("prefetch", int64(s.prefetch), 0, 1<<20)
	between("producers", int64(s.producers), 0, maxProducers/2)
	between("consumers", int64(s.consumers), 0, 20_000)
	between("queues", int64(s.queues), 1, maxProducers/2)
	between("connections", int64(s.connections), 1, 1_000_000)
	between("messages", s.messages, 0, maxSequence)
	between("backlog", s.backlog, 1, maxSequence)
	between("pid", int64(s.pid), 0, 1<<30)
	if s.rate < 0 || s.rate > 10e6 {
		errs = append(errs, fmt.Errorf("--rate %g is not between 0 and 10 million", s.rate))
	}
	for flag, d := range map[string]time.Duration{"duration": s.duration, "timeout": s.timeout, "idle": s.idle} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("--%s must be more than nothing", flag))
		}
	}
	if s.warmup < 0 || s.settle < 0 {
		errs = append(errs, errors.New("--warmup and --settle cannot be negative"))
	}
	return errors.Join(errs...)
}

// checkShape looks at combinations.
func (s *settings) checkShape() error {
	switch ackMode(s.ack) {
	case ackAuto, ackClient, ackIndividual:
	default:
		return fmt.Errorf("--ack %q is not auto, client or client-individual", s.ack)
	}
	switch s.kind {
	case kindDrain:
		if s.consumers == 0 || s.topic {
			return errors.New("drain needs consumers on queues")
		}
		if s.producers == 0 {
			return errors.New("drain needs the --producers of the fill")
		}
	case kindStartup:
		if len(s.command) == 0 {
			return errors.New("startup needs the broker's command after --: bench --scenario startup -- entrepot serve")
		}
	case kindThroughput, kindFill, kindBacklog:
		return s.checkLoad()
	case kindConnections, kindRetained:
	}
	if s.kind != kindStartup && len(s.command) > 0 {
		return fmt.Errorf("unexpected argument %q", s.command[0])
	}
	return nil
}

func (s *settings) checkLoad() error {
	switch {
	case len(s.command) > 0:
		return fmt.Errorf("unexpected argument %q", s.command[0])
	case s.producers == 0:
		return errors.New("nothing is published without --producers; to consume what is waiting use --scenario drain")
	case s.kind == kindBacklog && s.consumers == 0:
		return errors.New("backlog needs consumers: to publish only use --scenario fill")
	case s.ahead > 0 && (s.consumers == 0 || s.kind == kindBacklog):
		return errors.New("--ahead bounds a backlog, which fill and backlog are meant to build")
	case s.topic && s.consumers == 0:
		return errors.New("a topic without consumers measures nothing")
	case s.kind == kindBacklog && s.messages > 0:
		return errors.New("backlog goes by --duration; --backlog says how many messages wait")
	case s.kind == kindFill && (s.consumers > 0 || s.messages == 0):
		return errors.New("fill publishes a number of --messages and has no consumers")
	case s.topic && s.kind == kindBacklog:
		return errors.New("backlog is about queues, not topics")
	case s.queues > s.producers || s.consumers > 0 && s.queues > s.consumers:
		return fmt.Errorf("--queues %d needs as many publishers and consumers", s.queues)
	}
	return nil
}

// parseHeaders reads name:value pairs.
func parseHeaders(flag string, list []string) ([]header, error) {
	var headers []header
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s %q is not name:value", flag, h)
		}
		headers = append(headers, header{name: name, value: value})
	}
	return headers, nil
}

// destinationOf returns the destination of publisher or consumer i.
func (s *settings) destinationOf(i int) string {
	name := s.destination
	if name == "" {
		name = s.defaultDestination()
	}
	if s.queues > 1 {
		name += "." + strconv.Itoa(i%s.queues)
	}
	if s.queuePrefix != "" && !s.topic {
		return s.queuePrefix + name
	}
	return s.wire.destination(name, s.topic)
}

func (s *settings) defaultDestination() string {
	if s.kind.sharesQueue() {
		return sharedDestination
	}
	return fmt.Sprintf("bench.%s.%d", s.scenario, s.run)
}

// share is how many of total messages publisher i of n sends.
func share(total int64, i, n int) int64 {
	part := total / int64(n)
	if int64(i) < total%int64(n) {
		part++
	}
	return part
}

func (s *settings) dialer(c clock) *dialer {
	return &dialer{
		address:     s.address,
		protocol:    s.wire,
		credentials: credentials{login: s.login, passcode: s.passcode, virtualHost: s.host},
		maxFrame:    s.size + frameSlack,
		clock:       c,
	}
}

// loopback reports whether the broker is on this machine's loopback network.
func (s *settings) loopback() bool {
	host, _, err := net.SplitHostPort(s.address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
