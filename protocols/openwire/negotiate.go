package openwire

import (
	"errors"
	"math"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Names of the properties of WireFormatInfo.
const (
	propStackTrace   = "StackTraceEnabled"
	propNoDelay      = "TcpNoDelayEnabled"
	propCache        = "CacheEnabled"
	propCacheSize    = "CacheSize"
	propTight        = "TightEncodingEnabled"
	propNoPrefix     = "SizePrefixDisabled"
	propInactivity   = "MaxInactivityDuration"
	propInitialDelay = "MaxInactivityDurationInitalDelay" // sic
	propFrame        = "MaxFrameSize"
	propFrameEnabled = "MaxFrameSizeEnabled"
	propProvider     = "ProviderName"
	propVersion      = "ProviderVersion"
	propPlatform     = "PlatformDetails"
)

// Limits of what a client may put into its WireFormatInfo.
const (
	maxInfoEntries = 64
	maxInfoValue   = 512
)

var magic = [8]byte{'A', 'c', 't', 'i', 'v', 'e', 'M', 'Q'}

// offer returns the broker's WireFormatInfo. It says nothing of the machine.
func (s *settings) offer(version string) *wire.WireFormatInfo {
	cacheSize := int32(s.cacheSize)
	if cacheSize == 0 {
		cacheSize = 1024
	}
	return &wire.WireFormatInfo{
		Magic: magic, Version: int32(s.version),
		MarshalledProperties: wire.AppendMap(nil, []message.Property{
			{Name: propStackTrace, Value: message.BoolValue(false)},
			{Name: propNoDelay, Value: message.BoolValue(true)},
			{Name: propCache, Value: message.BoolValue(s.cacheSize > 0)},
			{Name: propCacheSize, Value: message.Int32Value(cacheSize)},
			{Name: propTight, Value: message.BoolValue(s.tight)},
			{Name: propNoPrefix, Value: message.BoolValue(false)},
			{Name: propInactivity, Value: message.Int64Value(s.inactivity.Milliseconds())},
			{Name: propInitialDelay, Value: message.Int64Value(s.initialDelay.Milliseconds())},
			{Name: propFrame, Value: message.Int64Value(int64(s.frame))},
			{Name: propFrameEnabled, Value: message.BoolValue(true)},
			{Name: propProvider, Value: message.StringValue("Entrepot")},
			{Name: propVersion, Value: message.StringValue(version)},
			{Name: propPlatform, Value: message.StringValue("Go")},
		}),
	}
}

// agreed is what both sides' WireFormatInfos lead to. Each computes it for
// itself.
type agreed struct {
	format     wire.Format
	inactivity time.Duration // 0: nobody watches
	delay      time.Duration // before the watch begins
	frame      int           // the largest that the client takes
}

var errNotOpenWire = errors.New("the client's first frame is not a WireFormatInfo of OpenWire")

// negotiate works out what the client's info and ours lead to.
func (s *settings) negotiate(info *wire.WireFormatInfo) (agreed, error) {
	if info.Magic != magic || info.Version < 1 {
		return agreed{}, errNotOpenWire
	}
	list, err := wire.ReadMap(info.MarshalledProperties)
	if err != nil {
		if info.MarshalledProperties != nil {
			return agreed{}, err
		}
		list = nil
	}
	if len(list) > maxInfoEntries {
		return agreed{}, errNotOpenWire
	}
	p := offered{}
	for _, e := range list {
		if text, ok := e.Value.Text(); ok && len(text) > maxInfoValue || !e.Value.IsScalar() {
			return agreed{}, errNotOpenWire
		}
		p[e.Name] = e.Value
	}
	a := agreed{format: wire.Format{Version: min(s.version, int(info.Version)), Tight: s.tight && p.flag(propTight)}}
	if s.cacheSize > 0 && p.flag(propCache) {
		size := int(p.number(propCacheSize))
		if size == 0 {
			size = wire.DefaultCacheSize
		}
		a.format.CacheSize = min(s.cacheSize, size)
	}
	if theirs := time.Duration(p.number(propInactivity)) * time.Millisecond; theirs > 0 && s.inactivity > 0 {
		a.inactivity = min(theirs, s.inactivity)
	}
	a.delay = s.initialDelay
	if theirs := time.Duration(p.number(propInitialDelay)) * time.Millisecond; theirs > 0 {
		a.delay = min(theirs, a.delay)
	}
	a.frame = math.MaxInt32
	if theirs := p.number(propFrame); theirs > 0 {
		a.frame = int(min(theirs, math.MaxInt32))
	}
	return a, nil
}

// offered are the properties of a WireFormatInfo by their names. What is not
// there, or of another type, is false and 0.
type offered map[string]message.Value

func (p offered) flag(name string) bool {
	on, _ := p[name].Bool()
	return on
}

func (p offered) number(name string) int64 {
	n, ok := p[name].Int64()
	if !ok || n < 0 || n > math.MaxInt64/int64(time.Millisecond) && name != propFrame {
		return 0
	}
	return n
}
