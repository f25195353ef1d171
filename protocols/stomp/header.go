package stomp

import (
	"strconv"
	"strings"
)

// command is a client frame's first line.
type command uint8

const (
	cmdUnknown command = iota
	cmdConnect         // CONNECT or STOMP
	cmdSend
	cmdSubscribe
	cmdUnsubscribe
	cmdAck
	cmdNack
	cmdBegin
	cmdCommit
	cmdAbort
	cmdDisconnect
	cmdServer // CONNECTED, MESSAGE, RECEIPT, ERROR: a server's
	commandCount
)

var commandNames = [commandCount]string{
	"unknown command", "CONNECT", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK",
	"BEGIN", "COMMIT", "ABORT", "DISCONNECT", "server frame",
}

func (c command) String() string { return commandNames[c] }

// parseCommand reads a command line. SUB... and UNSUB... are old spellings
// that ActiveMQ takes, and blanks at the end are a habit of 1.0 clients.
func parseCommand(line []byte) command {
	for len(line) > 0 && (line[len(line)-1] == ' ' || line[len(line)-1] == '\t') {
		line = line[:len(line)-1]
	}
	switch string(line) {
	case "SEND":
		return cmdSend
	case "ACK":
		return cmdAck
	case "NACK":
		return cmdNack
	case "BEGIN":
		return cmdBegin
	case "COMMIT":
		return cmdCommit
	case "ABORT":
		return cmdAbort
	case "CONNECT", "STOMP":
		return cmdConnect
	case "DISCONNECT":
		return cmdDisconnect
	case "CONNECTED", "MESSAGE", "RECEIPT", "ERROR":
		return cmdServer
	}
	switch {
	case len(line) >= 3 && string(line[:3]) == "SUB":
		return cmdSubscribe
	case len(line) >= 5 && string(line[:5]) == "UNSUB":
		return cmdUnsubscribe
	}
	return cmdUnknown
}

// headerName is a header that the frontend interprets on the paths that run
// for each message. Headers of rarer commands are looked up by frame.find.
type headerName uint8

const (
	headerOther headerName = iota
	headerDestination
	headerReceipt
	headerTransaction
	headerID
	headerContentLength
	headerContentType
	headerMessageType // amq-msg-type
	headerPersistent
	headerPriority
	headerExpires
	headerTimestamp
	headerCorrelationID
	headerReplyTo
	headerType
	headerMessageID
	headerSubscription
	headerAck
	headerRedelivered
	headerOriginal // original-destination
	headerRetain
	headerGroupID
	headerGroupSeq
	headerGroupFirst
	headerUserID
	headerTransformation
	headerDeliveryCount
	headerJMSCorrelationID
	headerJMSDeliveryMode
	headerJMSExpiration
	headerJMSPriority
	headerJMSRedelivered
	headerJMSReplyTo
	headerJMSTimestamp
	headerJMSType
	headerScheduledDelay
	headerScheduledPeriod
	headerScheduledRepeat
	headerScheduledCron
	headerScheduledZone
	headerScheduledJob
	headerNameCount
)

// lookupHeader is a switch and not a map: it is called for each header of each
// frame, and must not copy the key.
func lookupHeader(key []byte) headerName {
	switch string(key) {
	case "destination":
		return headerDestination
	case "receipt":
		return headerReceipt
	case "transaction":
		return headerTransaction
	case "id":
		return headerID
	case "content-length":
		return headerContentLength
	case "content-type":
		return headerContentType
	case "amq-msg-type":
		return headerMessageType
	case "persistent":
		return headerPersistent
	case "priority":
		return headerPriority
	case "expires":
		return headerExpires
	case "timestamp":
		return headerTimestamp
	case "correlation-id":
		return headerCorrelationID
	case "reply-to":
		return headerReplyTo
	case "type":
		return headerType
	case "message-id":
		return headerMessageID
	case "subscription":
		return headerSubscription
	case "ack":
		return headerAck
	case "redelivered":
		return headerRedelivered
	case "original-destination":
		return headerOriginal
	case "transformation":
		return headerTransformation
	case "scheduledJobId":
		return headerScheduledJob
	}
	return lookupJMS(key)
}

// lookupJMS names the property names that ActiveMQ gives a meaning.
func lookupJMS(key []byte) headerName {
	if len(key) < 7 || key[0] != 'J' && key[0] != 'A' {
		return headerOther
	}
	switch string(key) {
	case "ActiveMQ.Retain":
		return headerRetain
	case "JMSXGroupID":
		return headerGroupID
	case "JMSXGroupSeq":
		return headerGroupSeq
	case "JMSXGroupFirstForConsumer":
		return headerGroupFirst
	case "JMSXUserID":
		return headerUserID
	case "JMSXDeliveryCount":
		return headerDeliveryCount
	case "JMSCorrelationID":
		return headerJMSCorrelationID
	case "JMSDeliveryMode":
		return headerJMSDeliveryMode
	case "JMSExpiration":
		return headerJMSExpiration
	case "JMSPriority":
		return headerJMSPriority
	case "JMSRedelivered":
		return headerJMSRedelivered
	case "JMSReplyTo":
		return headerJMSReplyTo
	case "JMSTimestamp":
		return headerJMSTimestamp
	case "JMSType":
		return headerJMSType
	case "AMQ_SCHEDULED_DELAY":
		return headerScheduledDelay
	case "AMQ_SCHEDULED_PERIOD":
		return headerScheduledPeriod
	case "AMQ_SCHEDULED_REPEAT":
		return headerScheduledRepeat
	case "AMQ_SCHEDULED_CRON":
		return headerScheduledCron
	case "AMQ_SCHEDULED_TZ":
		return headerScheduledZone
	}
	return headerOther
}

// parseUint reads decimal digits, and nothing else, without a copy.
func parseUint(p []byte) (n uint64, ok bool) {
	if len(p) == 0 || len(p) > 19 { // 19 digits always fit into 64 bits
		return 0, false
	}
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// parseInt is parseUint with a sign, up to 18 digits.
func parseInt(p []byte) (int64, bool) {
	negative := len(p) > 0 && p[0] == '-'
	if negative {
		p = p[1:]
	}
	n, ok := parseUint(p)
	if !ok || len(p) > 18 {
		return 0, false
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

// clip shortens what a client sent so that it can be shown in an error.
func clip(p []byte) string {
	const most = 64
	if len(p) > most {
		return strings.ToValidUTF8(string(p[:most]), "") + "..."
	}
	return strings.ToValidUTF8(string(p), "\uFFFD")
}

func printable(c byte) string {
	q := strconv.QuoteRuneToASCII(rune(c))
	return q[1 : len(q)-1]
}
