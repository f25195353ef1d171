package openwire

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// Names of listener options, as ActiveMQ has them where it does.
const (
	optFrame        = "wireFormat.maxFrameSize"
	optInactivity   = "wireFormat.maxInactivityDuration"
	optInitialDelay = "wireFormat.maxInactivityDurationInitalDelay" // sic, as in ActiveMQ
	optTight        = "wireFormat.tightEncodingEnabled"
	optCache        = "wireFormat.cacheEnabled"
	optCacheSize    = "wireFormat.cacheSize"
	optVersion      = "wireFormat.version"
	optWriteTimeout = "transport.soWriteTimeout"
	optMembers      = "updateClusterClients"
	optObjects      = "openwire.maxObjects"
	optTransactions = "openwire.maxTransactions"
)

var optionNames = []string{
	optFrame, optInactivity, optInitialDelay, optTight, optCache, optCacheSize, optVersion,
	optWriteTimeout, optMembers, optObjects, optTransactions,
}

const (
	firstFrame    = 4 << 10  // bytes of WireFormatInfo
	strangerFrame = 64 << 10 // bytes of a frame before ConnectionInfo succeeded
	frameOverhead = 64 << 10 // of a message: headers
	nameLimit     = 8 << 10  // bytes of names and ids
	selectorLimit = 32 << 10 // bytes of a selector
	maxPrefetch   = 1 << 20

	farewellTimeout = 30 * time.Second
	// errorGrace is how long a client whose ConnectionInfo was refused may
	// read why: some would wait for ever if the connection closed at once.
	errorGrace = 2 * time.Second

	// What a connection may have under way before its socket is not read.
	maxHeldSends  = 64
	maxHeldBytes  = 1 << 20
	maxReplies    = 4 << 10
	maxUnfinished = 1 << 16 // commands that the broker has not completed
)

// settings are a listener's options, read.
type settings struct {
	frame        int
	inactivity   time.Duration
	initialDelay time.Duration
	tight        bool
	cacheSize    int // 0: no cache
	version      int
	writeTimeout time.Duration
	members      bool // clients are told of the group's other nodes
	objects      int  // of each kind on a connection
	transactions int
}

func readSettings(v protocols.Values, maxMessage int) (settings, error) {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	s := settings{}
	var err error
	most := maxMessage + frameOverhead
	s.frame, err = v.Size(optFrame, most)
	note(err)
	if s.frame == 0 {
		s.frame = most
	}
	s.frame = min(s.frame, most)
	if err == nil && s.frame < strangerFrame {
		note(fmt.Errorf("option %s=%d: want %d at least", optFrame, s.frame, strangerFrame))
	}
	s.inactivity, err = v.Duration(optInactivity, 30*time.Second)
	note(err)
	s.initialDelay, err = v.Duration(optInitialDelay, 10*time.Second)
	note(err)
	s.tight, err = v.Bool(optTight, false)
	note(err)
	cache, err := v.Bool(optCache, false)
	note(err)
	s.cacheSize, err = v.Int(optCacheSize, 1024)
	note(err)
	if err == nil && (s.cacheSize < 101 || s.cacheSize > 32767) {
		note(fmt.Errorf("option %s=%d: want 101 to 32767", optCacheSize, s.cacheSize))
	}
	if !cache {
		s.cacheSize = 0
	}
	s.version, err = v.Int(optVersion, 12)
	note(err)
	if err == nil && (s.version < 1 || s.version > 12) {
		note(fmt.Errorf("option %s=%d: want 1 to 12", optVersion, s.version))
	}
	s.writeTimeout, err = v.Duration(optWriteTimeout, 30*time.Second)
	note(err)
	s.members, err = v.Bool(optMembers, true)
	note(err)
	s.objects, err = v.Int(optObjects, 10_000)
	note(err)
	s.transactions, err = v.Int(optTransactions, 1_000)
	note(err)
	return s, errors.Join(errs...)
}
