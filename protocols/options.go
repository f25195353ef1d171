package protocols

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ownOptions are the options that listeners themselves obey.
var ownOptions = []string{
	"maximumConnections", "maximumUnauthenticated", "maximumHandshakes",
	"transport.connectAttemptTimeout", "protocolDetectionTimeOut", "auto.protocols",
	"transport.tcpNoDelay", "transport.keepAlive",
	"proxyProtocol", "trustedProxies",
	"transport.certificate", "transport.key", "transport.clientCA", "transport.enabledProtocols",
	"needClientAuth", "wantClientAuth", "transport.needClientAuth", "transport.wantClientAuth",
}

// ignoredOptions are ActiveMQ's that say nothing here, with the reason that
// the log gives. A frontend that does know one of them wins.
var ignoredOptions = map[string]string{
	"backlog":                                     kernelTunes,
	"connectionTimeout":                           "transport.connectAttemptTimeout limits the handshake",
	"daemon":                                      noThreads,
	"dynamicManagement":                           noJava,
	"jetty.config":                                noJava,
	"logWriterName":                               noJava,
	"maxConnectionThreadPoolSize":                 noThreads,
	"minmumWireFormatVersion":                     "every supported version is accepted",
	"name":                                        "listeners are named in the configuration",
	"nioTransport.threads":                        noThreads,
	"soTimeout":                                   "heart-beats find dead peers",
	"socketBufferSize":                            kernelTunes,
	"trace":                                       "frames are logged at level debug",
	"useQueueForAccept":                           noThreads,
	"transport.activeMQSubscriptionPrefetch":      otherProtocol,
	"transport.closeAsync":                        noThreads,
	"transport.connectionTimeout":                 "transport.connectAttemptTimeout limits the handshake",
	"transport.daemon":                            noThreads,
	"transport.defaultHeartBeat":                  otherProtocol,
	"transport.defaultKeepAlive":                  otherProtocol,
	"transport.enabledCipherSuites":               "only suites without known weakness are offered",
	"transport.hbGracePeriodMultiplier":           otherProtocol,
	"transport.ioBufferSize":                      "buffers are pooled",
	"transport.producerCredit":                    otherProtocol,
	"transport.publishDollarTopics":               otherProtocol,
	"transport.soLinger":                          "connections are closed in order",
	"transport.soTimeout":                         "heart-beats find dead peers",
	"transport.soWriteTimeout":                    otherProtocol,
	"transport.stackSize":                         noThreads,
	"transport.subscriptionStrategy":              otherProtocol,
	"transport.threadName":                        noThreads,
	"transport.trace":                             "frames are logged at level debug",
	"transport.trafficClass":                      kernelTunes,
	"transport.transformer":                       otherProtocol,
	"transport.useInactivityMonitor":              otherProtocol,
	"transport.useKeepAlive":                      otherProtocol,
	"transport.verifyHostName":                    "clients are verified by their certificate's chain",
	"websocket.bufferSize":                        noJava,
	"websocket.inputBufferSize":                   noJava,
	"websocket.maxBinaryMessageSize":              "wireFormat.maxFrameSize limits messages",
	"websocket.maxIdleTime":                       "websocket.pingInterval finds dead peers",
	"websocket.maxTextMessageSize":                "wireFormat.maxFrameSize limits messages",
	"wireFormat.allowNonSaslConnections":          otherProtocol,
	"wireFormat.cacheEnabled":                     otherProtocol,
	"wireFormat.cacheSize":                        otherProtocol,
	"wireFormat.idleTimeout":                      otherProtocol,
	"wireFormat.maxAmqpFrameSize":                 otherProtocol,
	"wireFormat.maxDataLength":                    otherProtocol,
	"wireFormat.maxFrameSize":                     otherProtocol,
	"wireFormat.maxFrameSizeEnabled":              "frames always have a limit",
	"wireFormat.maxInactivityDuration":            otherProtocol,
	"wireFormat.maxInactivityDurationInitalDelay": otherProtocol,
	"wireFormat.maxInflatedDataSize":              otherProtocol,
	"wireFormat.sizePrefixDisabled":               otherProtocol,
	"wireFormat.stackTraceEnabled":                otherProtocol,
	"wireFormat.tcpNoDelayEnabled":                otherProtocol,
	"wireFormat.tightEncodingEnabled":             otherProtocol,
}

// ignoredPrefixes are families of options that say nothing here.
var ignoredPrefixes = map[string]string{
	"http.":                              noJava,
	"nio.":                               noThreads,
	"org.apache.activemq.transport.nio.": noThreads,
}

const (
	kernelTunes   = "the operating system tunes it"
	noThreads     = "there is no thread pool to tune"
	noJava        = "it configures Java components"
	otherProtocol = "it belongs to another protocol"
)

// Note is an option that was accepted and has no effect.
type Note struct{ Option, Reason string }

// Check finds options that neither the listener nor the frontends of its
// protocols know, and values that these frontends refuse; its error names them
// all, unknown ones with the nearest known name.
// The notes tell which options of ActiveMQ have no effect here.
func (c *ListenerConfig) Check(frontends map[string]Frontend) ([]Note, error) {
	known := slices.Clone(ownOptions)
	for name, f := range frontends {
		if c.Protocol == name || c.Protocol == Auto {
			known = append(known, f.Options()...)
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	var notes []Note
	var errs optionReader
	for _, given := range slices.Sorted(maps.Keys(c.Values)) {
		name := unscoped(given)
		if slices.Contains(known, name) {
			continue
		}
		if reason, ok := ignoredReason(name); ok {
			notes = append(notes, Note{Option: given, Reason: reason})
			continue
		}
		hint := didYouMean(name, known)
		if hint == "" {
			hint = "; known: " + strings.Join(known, ", ")
		}
		errs.note(fmt.Errorf("listener %s: unknown option %s%s", c.Name, given, hint))
	}
	for _, name := range slices.Sorted(maps.Keys(frontends)) {
		k, ok := frontends[name].(OptionChecker)
		if !ok || c.Protocol != name && c.Protocol != Auto {
			continue
		}
		if err := k.CheckOptions(c.Values.For(name)); err != nil {
			errs.note(fmt.Errorf("listener %s: %w", c.Name, err))
		}
	}
	return notes, errs.err()
}

func ignoredReason(name string) (string, bool) {
	if reason, ok := ignoredOptions[name]; ok {
		return reason, true
	}
	for prefix, reason := range ignoredPrefixes {
		if strings.HasPrefix(name, prefix) {
			return reason, true
		}
	}
	return "", false
}

// scopes are the words that limit a wireFormat option to one protocol.
var scopes = map[string]string{
	"default": OpenWire, OpenWire: OpenWire, AMQP: AMQP, STOMP: STOMP, MQTT: MQTT, WebSocket: WebSocket,
}

// cutScope splits "wireFormat.stomp.maxFrameSize" into its protocol and
// "wireFormat.maxFrameSize".
func cutScope(option string) (protocol, name string, ok bool) {
	rest, ok := strings.CutPrefix(option, "wireFormat.")
	if !ok {
		return "", option, false
	}
	word, last, ok := strings.Cut(rest, ".")
	if !ok || scopes[word] == "" {
		return "", option, false
	}
	return scopes[word], "wireFormat." + last, true
}

func unscoped(option string) string {
	_, name, _ := cutScope(option)
	return name
}

// For returns the values as one protocol sees them: what is written
// "wireFormat.stomp.maxFrameSize" replaces "wireFormat.maxFrameSize" for
// STOMP. It returns v itself when nothing is written for that protocol alone.
func (v Values) For(protocol string) Values {
	out, copied := v, false
	for option, value := range v {
		p, name, ok := cutScope(option)
		if !ok || p != protocol {
			continue
		}
		if !copied {
			out, copied = maps.Clone(v), true
		}
		out[name] = value
	}
	return out
}
