package amqp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// Names of listener options. Those with a prefix of ActiveMQ's mean what they
// mean there.
const (
	optFrame        = "wireFormat.maxAmqpFrameSize"
	optMessage      = "wireFormat.maxFrameSize"
	optIdle         = "wireFormat.idleTimeout"
	optPlain        = "wireFormat.allowNonSaslConnections"
	optCredit       = "wireFormat.producerCredit"
	optCreditAlias  = "transport.producerCredit"
	optWriteTimeout = "transport.soWriteTimeout"
	optSessions     = "amqp.maxSessions"
	optLinks        = "amqp.maxLinks"
	optUnsettled    = "amqp.maxUnsettled"
	optTransactions = "amqp.maxTransactions"
	optTxMessages   = "amqp.maxTransactionMessages"
	optTxBytes      = "amqp.maxTransactionBytes"
	optTemps        = "amqp.maxTempDestinations"
	optQueuePrefix  = "amqp.queuePrefix"
	optTopicPrefix  = "amqp.topicPrefix"
	optMechanisms   = "amqp.saslMechanisms"
)

var optionNames = []string{
	optFrame, optMessage, optIdle, optPlain, optCredit, optCreditAlias, optWriteTimeout,
	optSessions, optLinks, optUnsettled, optTransactions, optTxMessages, optTxBytes, optTemps,
	optQueuePrefix, optTopicPrefix, optMechanisms,
}

const (
	minFrame         = 512 // AMQP 1.0, 2.7.1: every peer takes these
	strangerFrame    = 8 << 10
	defaultMessage   = 100 << 20
	defaultTimeout   = 30 * time.Second
	incomingWindow   = 2048     // transfer frames of a session before its client has to wait
	outgoingFrame    = 64 << 10 // larger frames are not sent, whatever the client takes
	maxName          = 4096     // bytes of a link's name or a container id
	maxProperties    = 64 << 10 // bytes of a frame that opens something
	farewellTimeout  = 30 * time.Second
	maxHeldSends     = 2048 // more than a producer's credit: what it has sent doesn't stop its acknowledgements
	maxHeldBytes     = 2 << 20
	maxReplyBytes    = 1 << 20 // frames that the client has not read
	maxPublishing    = 1 << 16 // deliveries that the broker has not completed
	generationBits   = 14
	topUpPerThousand = 300 // credit left, of a thousand, at which it is renewed
)

// settings are a listener's options, read.
type settings struct {
	frame        uint32
	message      int
	idle         time.Duration // 0: clients may keep silent
	plain        bool          // connections without SASL are anonymous ones
	credit       uint32
	writeTimeout time.Duration
	sessions     int
	links        int // of a session
	unsettled    uint32
	transactions int
	txMessages   int
	txBytes      int
	temps        int
	names        prefixes
	mechanisms   []string // those of SASL that are taken; none: all
}

// readSettings reads a listener's options. maxMessage is the largest message
// that the broker takes.
func readSettings(v protocols.Values, maxMessage int) (settings, error) {
	var errs []error
	number := func(name string, def, least, most int) int {
		n, err := v.Int(name, def)
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("option %s=%d: want %d to %d", name, n, least, most)
		}
		errs = append(errs, err)
		return n
	}
	size := func(name string, def, least, most int) int {
		n, err := v.Size(name, def)
		if n == 0 {
			n = most
		}
		if err == nil && n < least {
			err = fmt.Errorf("option %s=%d: want %d bytes at least", name, n, least)
		}
		errs = append(errs, err)
		return min(n, most)
	}
	s := settings{
		frame:        uint32(size(optFrame, 128<<10, minFrame, 1<<30)),
		message:      size(optMessage, maxMessage, minFrame, maxMessage),
		credit:       uint32(number(optCredit, number(optCreditAlias, 1000, 1, 1<<20), 1, 1<<20)),
		sessions:     number(optSessions, 255, 1, 1<<15),
		links:        number(optLinks, 1024, 1, 1<<16),
		unsettled:    uint32(number(optUnsettled, 32767, 1, 1<<24)),
		transactions: number(optTransactions, 100, 0, 1<<20),
		txMessages:   number(optTxMessages, 10000, 1, 1<<24),
		txBytes:      size(optTxBytes, 256<<20, 1, 1<<40),
		temps:        number(optTemps, 1000, 0, 1<<20),
		names:        prefixes{v.String(optQueuePrefix, defaultQueuePrefix), v.String(optTopicPrefix, defaultTopicPrefix)},
	}
	var err error
	s.idle, err = v.Duration(optIdle, defaultTimeout)
	errs = append(errs, err)
	s.writeTimeout, err = v.Duration(optWriteTimeout, defaultTimeout)
	errs = append(errs, err)
	s.plain, err = v.Bool(optPlain, true)
	errs = append(errs, err)
	s.mechanisms, err = readMechanisms(v.List(optMechanisms))
	return s, errors.Join(append(errs, err)...)
}

// readMechanisms reads names of SASL mechanisms in any case.
func readMechanisms(names []string) ([]string, error) {
	for i, name := range names {
		names[i] = strings.ToUpper(name)
		if !slices.Contains(saslMechanismNames, names[i]) {
			return nil, fmt.Errorf("option %s: there is no mechanism %q here: want some of %s", optMechanisms, name, strings.Join(saslMechanismNames, ", "))
		}
	}
	return names, nil
}
