package mqtt

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// Names of listener options. Those with a prefix of ActiveMQ's mean what they
// mean there.
const (
	optFrame            = "wireFormat.maxFrameSize"
	optWriteTimeout     = "transport.soWriteTimeout"
	optDefaultKeepAlive = "transport.defaultKeepAlive"
	optMaxKeepAlive     = "mqtt.maxKeepAlive"
	optReceiveMaximum   = "mqtt.receiveMaximum"
	optMaxInflight      = "mqtt.maxInflight"
	optAliases          = "mqtt.topicAliasMaximum"
	optSubscriptions    = "mqtt.maxSubscriptions"
	optSessionExpiry    = "mqtt.maxSessionExpiry"
	optClientID         = "mqtt.maxClientId"
)

var optionNames = []string{
	optFrame, optWriteTimeout, optDefaultKeepAlive, optMaxKeepAlive, optReceiveMaximum, optMaxInflight,
	optAliases, optSubscriptions, optSessionExpiry, optClientID,
}

const (
	strangerPacket = 64 << 10  // bytes of a packet before CONNECT succeeded
	defaultMessage = 100 << 20 // bytes of a message, without a broker to ask
	packetHead     = 128 << 10 // bytes of a PUBLISH beside its message: topic and properties

	// farewellTimeout is how long a connection that ends waits for the client
	// to read the answers.
	farewellTimeout = 10 * time.Second

	// What a connection may have under way before its socket is not read any
	// more. These need no option: the client loses nothing by them.
	maxHeldSends  = 64
	maxHeldBytes  = 1 << 20
	maxReplyBytes = 1 << 20 // replies that the client has not read

	// directWindow is how many messages of subscriptions that aren't stored may
	// be with the connection. Those of QoS 1 and 2 wait there for their turn.
	directWindow = 4096
)

// settings are a listener's options, read.
type settings struct {
	packet           int // bytes, of clients that have authenticated
	writeTimeout     time.Duration
	defaultKeepAlive time.Duration // of clients that want none; 0 gives them none
	maxKeepAlive     time.Duration // 0: as long as the client likes
	receiveMaximum   int           // publishes of QoS 1 and 2 that may be unacknowledged
	maxInflight      int           // deliveries of QoS 1 and 2 that may be unacknowledged
	aliases          int           // topic aliases of a client
	subscriptions    int
	sessionExpiry    uint32 // seconds
	clientID         int    // bytes
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
	duration := func(name string, def time.Duration) time.Duration {
		d, err := v.Duration(name, def)
		errs = append(errs, err)
		return d
	}
	s := settings{
		writeTimeout:     duration(optWriteTimeout, 30*time.Second),
		defaultKeepAlive: duration(optDefaultKeepAlive, 0),
		maxKeepAlive:     duration(optMaxKeepAlive, 0),
		receiveMaximum:   number(optReceiveMaximum, 1000, 1, math.MaxUint16),
		maxInflight:      number(optMaxInflight, 1000, 1, math.MaxUint16),
		aliases:          number(optAliases, 64, 0, math.MaxUint16),
		subscriptions:    number(optSubscriptions, 1000, 1, math.MaxInt32),
		clientID:         number(optClientID, 1024, 23, math.MaxUint16),
	}
	size, err := v.Size(optFrame, maxMessage+packetHead)
	errs = append(errs, err)
	if size == 0 {
		size = maxRemaining + 5
	}
	s.packet = min(size, maxMessage+packetHead, maxRemaining+5)
	if expiry := duration(optSessionExpiry, 0); expiry > 0 && expiry < math.MaxUint32*time.Second {
		s.sessionExpiry = uint32(expiry / time.Second)
	} else {
		s.sessionExpiry = math.MaxUint32
	}
	if s.maxKeepAlive > 0 && s.maxKeepAlive < time.Second {
		errs = append(errs, fmt.Errorf("option %s=%v: want a second or more", optMaxKeepAlive, s.maxKeepAlive))
	}
	return s, errors.Join(errs...)
}
