package stomp

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols"
)

// Names of listener options. Those with a prefix of ActiveMQ's mean what they
// mean there.
const (
	optBody          = "wireFormat.maxDataLength"
	optFrame         = "wireFormat.maxFrameSize"
	optWriteTimeout  = "transport.soWriteTimeout"
	optHeartBeat     = "transport.defaultHeartBeat"
	optGrace         = "transport.hbGracePeriodMultiplier"
	optCommandLine   = "stomp.maxCommandLength"
	optHeaderLine    = "stomp.maxHeaderLength"
	optHeaders       = "stomp.maxHeaders"
	optHead          = "stomp.maxHeaderBytes"
	optSubscriptions = "stomp.maxSubscriptions"
	optTemps         = "stomp.maxTempDestinations"
	optTransactions  = "stomp.maxTransactions"
	optTxFrames      = "stomp.maxTransactionFrames"
	optTxBytes       = "stomp.maxTransactionBytes"
	optNack          = "stomp.nack"
)

var optionNames = []string{
	optBody, optFrame, optWriteTimeout, optHeartBeat, optGrace,
	optCommandLine, optHeaderLine, optHeaders, optHead,
	optSubscriptions, optTemps, optTransactions, optTxFrames, optTxBytes, optNack,
}

const (
	strangerFrame  = 8 << 10   // bytes of a frame before CONNECT succeeded
	defaultBody    = 100 << 20 // bytes of a body
	maxHeadOption  = 16 << 20  // bytes that optHead may allow
	maxHeaders     = 60000     // header lines that optHeaders may allow: field numbers have 16 bits
	defaultTimeout = 30 * time.Second

	// farewellTimeout is how long a connection that ends waits for the broker
	// to complete what it had begun, and for the client to read the answers.
	farewellTimeout = 30 * time.Second

	// What a connection may have under way before its socket is not read any
	// more. These need no option: the client loses nothing by them.
	maxHeldSends  = 64
	maxHeldBytes  = 1 << 20
	maxReplyBytes = 1 << 20 // replies that the client has not read
	maxReceipts   = 1 << 16 // receipts that the broker has not completed
	maxPrefetch   = 32767
)

// settings are a listener's options, read.
type settings struct {
	frame         frameLimits // for clients that have authenticated
	subscriptions int
	temps         int
	transactions  int
	txFrames      int
	txBytes       int
	writeTimeout  time.Duration // 0: wait for ever
	beatIn        beat          // the default's first value: what clients promise
	beatOut       beat          // its second value: what they want
	grace         float64
	nack          broker.Outcome
}

// readSettings reads a listener's options. maxMessage is the largest message
// that the broker takes.
func readSettings(v protocols.Values, maxMessage int) (settings, error) {
	var errs []error
	number := func(name string, def, least int) int {
		n, err := v.Int(name, def)
		if err == nil && n < least {
			err = fmt.Errorf("option %s=%d: want %d at least", name, n, least)
		}
		errs = append(errs, err)
		return n
	}
	size := func(name string, def, most int) int {
		n, err := v.Size(name, def)
		errs = append(errs, err)
		if n == 0 {
			n = most
		}
		return min(n, most)
	}
	s := settings{
		frame: frameLimits{
			commandLine: number(optCommandLine, 1024, 16),
			headerLine:  size(optHeaderLine, 10<<10, maxHeadOption),
			headers:     min(number(optHeaders, 1000, 1), maxHeaders),
			head:        size(optHead, 64<<10, maxHeadOption),
			body:        size(optBody, defaultBody, maxMessage),
		},
		subscriptions: number(optSubscriptions, 1000, 1),
		temps:         number(optTemps, 1000, 0),
		transactions:  number(optTransactions, 100, 0),
		txFrames:      number(optTxFrames, 10000, 1),
		txBytes:       size(optTxBytes, 256<<20, 1<<40),
	}
	s.frame.frame = size(optFrame, s.frame.body+s.frame.head, s.frame.body+s.frame.head)
	var err error
	s.writeTimeout, err = v.Duration(optWriteTimeout, defaultTimeout)
	errs = append(errs, err)
	in, out, err := v.Pair(optHeartBeat, 0, 0)
	errs = append(errs, err)
	s.beatIn, s.beatOut = newBeat(uint64(in)), newBeat(uint64(out))
	s.grace, err = v.Float(optGrace, 2)
	if err == nil && s.grace < 1 {
		err = fmt.Errorf("option %s=%v: want 1 or more", optGrace, s.grace)
	}
	errs = append(errs, err)
	s.nack, err = nackPolicy(v.String(optNack, "dead-letter"))
	return s, errors.Join(append(errs, err)...)
}
