package matrix

// headerRow says how the families spell a header.
type headerRow struct {
	name  string
	field map[Family]string // where it stands; empty where a client can't send it or see it
	send  map[Family]bool   // who can send it
	value map[Family]string // the example
}

func same(value string) map[Family]string {
	return map[Family]string{STOMP: value, MQTT5: value, AMQP: value, OpenWire: value}
}

func senders(list ...Family) map[Family]bool {
	out := map[Family]bool{}
	for _, f := range list {
		out[f] = true
	}
	return out
}

var headers = []headerRow{
	{
		"correlation id",
		map[Family]string{STOMP: "correlation-id", MQTT5: "correlation data", AMQP: "correlation-id", OpenWire: "JMSCorrelationID"},
		senders(STOMP, MQTT5, AMQP, OpenWire), same("c:1"),
	},
	{
		"reply to",
		map[Family]string{STOMP: "reply-to", MQTT5: "response topic", AMQP: "reply-to", OpenWire: "JMSReplyTo"},
		senders(STOMP, MQTT5, AMQP, OpenWire),
		map[Family]string{STOMP: "/topic/an.swers", MQTT5: "an/swers", AMQP: "topic://an.swers", OpenWire: "topic://an.swers"},
	},
	{
		"type",
		map[Family]string{STOMP: "type", MQTT5: "user property JMSType", AMQP: "subject", OpenWire: "JMSType"},
		senders(STOMP, AMQP, OpenWire), same("kind"),
	},
	{
		"group",
		map[Family]string{STOMP: "JMSXGroupID", MQTT5: "user property JMSXGroupID", AMQP: "group-id", OpenWire: "JMSXGroupID"},
		senders(STOMP, AMQP, OpenWire), same("g1"),
	},
	{
		"priority",
		map[Family]string{STOMP: "priority", AMQP: "priority", OpenWire: "JMSPriority"},
		senders(STOMP, AMQP, OpenWire),
		map[Family]string{STOMP: "7", AMQP: "7", OpenWire: "7"},
	},
	{
		"expiry",
		map[Family]string{STOMP: "expires", MQTT5: "message expiry interval", AMQP: "ttl, absolute-expiry-time", OpenWire: "JMSExpiration"},
		senders(STOMP, MQTT5, AMQP, OpenWire), same(inAnHour),
	},
}

// inAnHour is how adapters say that a message expires in about an hour.
const inAnHour = "in an hour"

// headersOf are the headers that a client of a family can send.
func headersOf(f Family) map[string]string {
	out := map[string]string{}
	for _, row := range headers {
		if row.send[f] {
			out[row.name] = row.value[f]
		}
	}
	return out
}

// headersFor are the headers that arrive of those that were sent.
func headersFor(sent map[string]string, to Family) map[string]string {
	var out map[string]string
	for _, row := range headers {
		if _, ok := sent[row.name]; ok && row.field[to] != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[row.name] = row.value[to]
		}
	}
	return out
}
