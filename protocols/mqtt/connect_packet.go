package mqtt

// connectPacket is a CONNECT (MQTT 5.0, 3.1). Texts point into the packet.
type connectPacket struct {
	version    version
	cleanStart bool
	keepAlive  uint16 // seconds
	clientID   []byte
	hasWill    bool
	will       willFields
	userName   []byte // nil if there is none
	password   []byte // nil if there is none
	props      properties
}

// willFields are what CONNECT says of the will.
type willFields struct {
	qos     byte
	retain  bool
	topic   []byte
	payload []byte
	props   properties
}

const (
	connectReserved   = 1 << 0
	connectClean      = 1 << 1
	connectWill       = 1 << 2
	connectWillRetain = 1 << 5
	connectPassword   = 1 << 6
	connectUserName   = 1 << 7
)

// readConnect decodes a CONNECT. version is set as soon as it is known, so
// that an error can be answered in the client's own way.
func readConnect(body []byte) (c connectPacket, err error) {
	f := fields{b: body}
	name := f.text("protocol name")
	level := f.byte("protocol level")
	flags := f.byte("connect flags")
	if f.err != nil {
		return c, f.err
	}
	if err := c.checkVersion(name, level); err != nil {
		return c, err
	}
	if err := checkConnectFlags(c.version, flags); err != nil {
		return c, err
	}
	c.cleanStart = flags&connectClean != 0
	c.keepAlive = f.uint16("keep alive")
	if c.version == v5 {
		c.props.read(&f, connectProperties)
	}
	c.clientID = f.text("client identifier") // [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
	if flags&connectWill != 0 {
		c.readWill(&f, flags)
	}
	if flags&connectUserName != 0 {
		c.userName = present(f.text("user name")) // [MQTT-3.1.2-17] [MQTT-3.1.3-12]
	}
	if flags&connectPassword != 0 {
		c.password = present(f.binary("password")) // [MQTT-3.1.2-19]
	}
	if err := f.end(); err != nil { // [MQTT-3.1.2-16] [MQTT-3.1.2-18]
		return c, err
	}
	if c.props.present.has(propAuthData) && !c.props.present.has(propAuthMethod) {
		return c, violation("CONNECT has authentication data without a method")
	}
	return c, nil
}

// present keeps an empty field apart from none.
func present(p []byte) []byte {
	if p == nil {
		return []byte{}
	}
	return p
}

func (c *connectPacket) checkVersion(name []byte, level byte) error {
	c.version = version(level &^ 0x80) // bridges set the highest bit (Mosquitto)
	switch {
	case string(name) == "MQTT" && c.version >= v311 && c.version <= v5:
		return nil
	case string(name) == "MQIsdp" && c.version == v31:
		return nil
	case string(name) == "MQTT":
		return faultf(unsupportedVersion, "protocol level %d is not known; known: 3 (MQTT 3.1), 4 (3.1.1) and 5", level) // [MQTT-3.1.2-2]
	}
	return faultf(unsupportedVersion, "protocol %.16q is not MQTT", name) // [MQTT-3.1.2-1]
}

func checkConnectFlags(v version, flags byte) error {
	switch {
	case flags&connectReserved != 0:
		return malformed("CONNECT has its reserved flag set") // [MQTT-3.1.2-3]
	case flags&connectWill == 0 && flags&(connectWillRetain|3<<3) != 0:
		return malformed("CONNECT has QoS or retain of a will and no will") // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
	case flags>>3&3 == 3:
		return malformed("will has QoS 3") // [MQTT-3.1.2-12]
	case v < v5 && flags&connectPassword != 0 && flags&connectUserName == 0:
		return malformed("CONNECT has a password and no user name") // 3.1.1 [MQTT-3.1.2-22]
	}
	return nil
}

func (c *connectPacket) readWill(f *fields, flags byte) {
	c.hasWill = true
	w := &c.will
	w.qos, w.retain = flags>>3&3, flags&connectWillRetain != 0
	if c.version == v5 {
		w.props.read(f, willProperties)
	}
	w.topic = f.text("will topic") // [MQTT-3.1.3-11]
	w.payload = f.binary("will payload")
	if f.err != nil {
		return
	}
	if err := checkTopicName(w.topic); err != nil {
		f.fail("")
		f.err = err
	}
	checkFormat(f, &w.props, w.payload)
}

// checkFormat holds a payload to the format that it claims.
func checkFormat(f *fields, p *properties, payload []byte) {
	if f.err == nil && p.payloadFormat == 1 && !validUTF8(payload) {
		f.fault(payloadFormatInvalid, "payload is not the UTF-8 that it is said to be")
	}
}
