package stomp

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestSendAndReceiveInEachVersion(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v10, v11, v12} {
		dest := "destination:/queue/q" + v.String()
		c := r.connect(v)
		c.do("SUBSCRIBE", "id:s", dest)
		c.do("SEND", dest, "k:v", "\nhello")
		f := c.message("hello")
		id := f.get("message-id")
		want := fmt.Sprintf("subscription:s|message-id:%s|%s|expires:0|priority:4|timestamp:%s|k:v", id, dest, f.get("timestamp"))
		if got := strings.Join(f.headers, "|"); got != want || !strings.HasPrefix(id, "ID:entrepot-") || len(f.get("timestamp")) != 13 {
			t.Errorf("%v: got %s\nwant %s", v, got, want)
		}
	}
}

func TestHeadersOfSendComeBackAsHeadersOfMessage(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client")
	for _, tt := range []struct {
		name string
		send []string
		want string // without subscription, message-id, ack and destination
	}{
		{"nothing", nil, "expires:0|priority:4|timestamp:T"},
		{
			"all that the envelope has",
			[]string{
				"persistent:true", "priority:7", "expires:99999999999999", "timestamp:5", "correlation-id:c", "type:t",
				"content-type:text/x", "reply-to:/topic/back", "JMSXGroupID:g", "JMSXGroupSeq:-3",
			},
			"expires:99999999999999|priority:7|timestamp:5|persistent:true|JMSXGroupFirstForConsumer:true|reply-to:/topic/back|correlation-id:c|type:t|content-type:text/x|JMSXGroupID:g|JMSXGroupSeq:-3",
		},
		{"only true is persistent", []string{"persistent:TRUE"}, "expires:0|priority:4|timestamp:T"},
		{"priority is taken to the nearest", []string{"priority:12"}, "expires:0|priority:9|timestamp:T"},
		{"and to the other nearest", []string{"priority:-1"}, "expires:0|priority:0|timestamp:T"},
		{
			"names of JMS",
			[]string{
				"JMSDeliveryMode:PERSISTENT", "JMSPriority:2", "JMSCorrelationID:c", "JMSType:t", "JMSTimestamp:5",
				"JMSExpiration:99999999999999", "JMSReplyTo:topic://back", "JMSRedelivered:true",
			},
			"expires:99999999999999|priority:2|timestamp:5|persistent:true|reply-to:/topic/back|correlation-id:c|type:t",
		},
		{"STOMP's headers count more", []string{"priority:3", "JMSPriority:2", "type:a", "JMSType:b"}, "expires:0|priority:3|timestamp:T|type:a"},
		{"what only the broker says is dropped", []string{
			"message-id:x", "redelivered:true", "subscription:x", "JMSXUserID:root",
			"JMSXDeliveryCount:9", "ack:5", "original-destination:/queue/b",
		}, "expires:0|priority:4|timestamp:T"},
		{"the first of several counts, all stay", []string{"k:1", "k:2", "priority:1", "priority:2"}, "expires:0|priority:1|timestamp:T|k:1|k:2"},
		{"a reply-to without prefix is a header", []string{"reply-to:a:b"}, "expires:0|priority:4|timestamp:T|reply-to:a:b"},
		{"amq-msg-type", []string{"amq-msg-type:text", "content-length:1"}, "expires:0|priority:4|timestamp:T|amq-msg-type:text"},
		{"bytes", []string{"content-length:1"}, "expires:0|priority:4|timestamp:T|content-length:1"},
		{"bytes without length", []string{"amq-msg-type:bytes"}, "expires:0|priority:4|timestamp:T|amq-msg-type:bytes|content-length:1"},
		{
			"a schedule that was carried out",
			[]string{"AMQ_SCHEDULED_PERIOD:1", "scheduledJobId:x", "AMQ_SCHEDULED_CRON:* * * * *"},
			"expires:0|priority:4|timestamp:T|AMQ_SCHEDULED_PERIOD:1|scheduledJobId:x|AMQ_SCHEDULED_CRON:* * * * *",
		},
		{
			"escapes",
			[]string{`k\c\\:a\cb\nc\\d\re`, `correlation-id:x\cy\n\\`, "plain:a:b"},
			"expires:0|priority:4|timestamp:T|correlation-id:x:y\n\\|k:\\:a:b\nc\\d\re|plain:a:b",
		},
		{"an empty value", []string{"k:"}, "expires:0|priority:4|timestamp:T|k:"},
	} {
		c.send("SEND", append(append([]string{"destination:/queue/a"}, tt.send...), "\nx")...)
		f := c.message("x")
		got := strings.Join(f.headers, "|")
		got = strings.Replace(got, "timestamp:"+f.get("timestamp"), "timestamp:T", 1)
		if tt.want = strings.Replace(tt.want, "timestamp:5|", "timestamp:T|", 1); !strings.HasSuffix(got, "|destination:/queue/a|"+tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
		c.send("ACK", "id:"+f.get("ack"))
	}
	c.quiet()
}

func TestSendIsRefused(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	for _, tt := range []struct{ header, want string }{
		{"", "SEND needs the header destination"},
		{"destination:", `destination "": destination name is empty`},
		{"destination:/queue/", `destination "/queue/": destination name is empty`},
		{`destination:/queue/a\nb`, "destination \"/queue/a\\nb\": destination name is not valid UTF-8 or holds a control character"},
		{"destination:/queue/a,/topic/", `destination "/topic/": destination name is empty`},
		{"destination:/queue/a.>", "send to queue://a.>: a wildcard can't be sent to; name one destination, or several separated by commas"},
		{"destination:/remote-temp-queue/nobody", "send to temp-queue://nobody: the temporary destination does not exist any more: its connection has ended"},
		{"destination:a\npriority:high", `header priority is not a number in range: "high"`},
		{"destination:a\nexpires:-1", `header expires is not a number in range: "-1"`},
		{"destination:a\nexpires:9999999999999999999", `header expires is not a number in range: "9999999999999999999"`},
		{"destination:a\ntimestamp:1.5", `header timestamp is not a number in range: "1.5"`},
		{"destination:a\nJMSXGroupSeq:2147483648", `header JMSXGroupSeq is not a number in range: "2147483648"`},
		{"destination:a\nAMQ_SCHEDULED_DELAY:-5", `AMQ_SCHEDULED_DELAY is "-5": want a whole number from 0 to 3162240000000`},
		{"destination:a\nAMQ_SCHEDULED_REPEAT:x", `AMQ_SCHEDULED_REPEAT is "x": want a whole number from 0 to 2147483647`},
		{"destination:a\nAMQ_SCHEDULED_CRON:* * *", `cron "* * *", character 6: the field month is missing; write five: minute, hour, day of month, month, day of week`},
		{"destination:a\nAMQ_SCHEDULED_TZ:Nowhere/City", `time zone "Nowhere/City" is unknown: write a name such as Europe/Berlin or UTC`},
		{"destination:a\nAMQ_SCHEDULED_DELAY:1\nAMQ_SCHEDULED_REPEAT:1001", `schedule for queue://a: AMQ_SCHEDULED_REPEAT is 1001, the limit is 1000 (schedule.maxSchedulerRepeatAllowed)`},
		{"destination:a\namq-msg-type:map", `header amq-msg-type is "map"`},
		{"destination:a\nreply-to:/queue/", `destination "/queue/": destination name is empty`},
		{"destination:a\ntransaction:none", `there is no transaction "none"`},
	} {
		headers := strings.Split(tt.header, "\n")
		if tt.header == "" {
			headers = nil
		}
		c.send("SEND", append(headers, "receipt:17")...)
		if f := c.error(tt.want); f.get("receipt-id") != "17" {
			t.Errorf("%s: no receipt-id: %v", tt.header, f)
		}
		c.send("SEND", headers...) // ERROR without being asked for a receipt too
		if f := c.error(tt.want); f.has("receipt-id") {
			t.Errorf("%s: receipt-id without receipt: %v", tt.header, f)
		}
	}
	c.quiet()
}

func TestUnknownCommandIsAnErrorAndTheConnectionGoesOn(t *testing.T) {
	c := newRig(t, nil).connect(v12)
	c.send("HELLO", "receipt:1")
	if f := c.error(`unknown command "HELLO"`); f.get("receipt-id") != "1" {
		t.Error(f)
	}
	c.quiet()
}

func TestMalformedFrameEndsTheConnectionWithAnError(t *testing.T) {
	r := newRig(t, nil)
	for in, want := range map[string]string{
		"SEND\ndestination:a\nreceipt:5\n\\t:x\n\n\x00":                              `undefined escape sequence \t in header line 3`,
		"SEND\nreceipt:5\ncontent-length:2\n\nabc\x00":                               "no NUL after the 2 bytes that content-length announced",
		"SEND\nreceipt:5\ncontent-length:-2\n\nabc\x00":                              `header content-length is not a number: "-2"`,
		"SEND\nreceipt:5\ncontent-length:999999999999\n\nabc":                        "body is longer than 104857600 bytes",
		"MESSAGE\nreceipt:5\n\n\x00":                                                 "client sent a server's frame",
		"CONNECT\nreceipt:5\naccept-version:1.2\n\n\x00":                             "connection has sent CONNECT already",
		"SEND\nreceipt:5\nk:" + strings.Repeat("x", 11<<10):                          "header line is longer than 10240 bytes",
		"SEND\nreceipt:5\n" + strings.Repeat("k:v\n", 1000):                          "frame has more than 1000 headers",
		strings.Repeat("X", 1025):                                                    "command line is longer than 1024 bytes",
		"SEND\nreceipt:5\n" + strings.Repeat("k:"+strings.Repeat("x", 9000)+"\n", 8): "command and headers are longer than 65536 bytes",
	} {
		c := r.connect(v12)
		c.raw(in)
		f := c.error(want)
		if strings.Contains(in, "receipt:5\n") != (f.get("receipt-id") == "5") {
			t.Errorf("%q: %v", in, f)
		}
		c.closed()
	}
}

func TestBodiesArriveAsTheyWere(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, body := range map[string]string{
		"empty": "", "every byte": string(all), "line ends": "\r\n\x00\n", "text": "ünïcödé",
		"as large as a buffer": strings.Repeat("x", readBuffer), "above the size that is copied": strings.Repeat("y", ownWrite+1),
		"5 MiB": strings.Repeat("0123456789abcdef", 5<<16), "several chunks": strings.Repeat("z", 3*writeChunk+7),
	} {
		c.send("SEND", "destination:/queue/a", fmt.Sprintf("content-length:%d", len(body)), "\n"+body)
		if f := c.read(); f.body != body || f.get("content-length") != strconv.Itoa(len(body)) {
			t.Errorf("%s: %d bytes came as %d: %v", name, len(body), len(f.body), f)
		}
	}
	// A text, in pieces, without a length.
	text := strings.Repeat("some text, ", 100_000)
	c.raw("SEND\ndestination:/queue/a\n\n")
	for piece := text; piece != ""; {
		n := min(len(piece), 77_777)
		c.raw(piece[:n])
		piece = piece[n:]
	}
	c.raw("\x00")
	if f := c.message(text); f.has("content-length") {
		t.Error("a text has no content-length")
	}
}

func TestTextWithNulKeepsItsLengthSoThatTheFrameCanBeRead(t *testing.T) {
	c := newRig(t, nil).connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	c.send("SEND", "destination:/queue/a", "amq-msg-type:text", "content-length:3", "\na\x00b")
	if f := c.message("a\x00b"); f.get("content-length") != "3" || f.get("amq-msg-type") != "text" {
		t.Error(f)
	}
}

func TestManyFramesInOneWriteAndOneFrameInManyWrites(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	var in strings.Builder
	for i := range 500 {
		fmt.Fprintf(&in, "SEND\ndestination:/queue/a\nn:%d\n\nbody %d\x00\n", i, i)
	}
	c.raw(in.String())
	for i := range 500 {
		if f := c.message(fmt.Sprintf("body %d", i)); f.get("n") != strconv.Itoa(i) {
			t.Fatal(f)
		}
	}
	for _, b := range []byte("\n\r\nSEND\r\ndestination:/queue/a\r\n\r\nslow\x00") {
		c.raw(string(b))
	}
	c.message("slow")
}

func TestVersionsThatEscapeDifferentlyUnderstandEachOther(t *testing.T) {
	r := newRig(t, nil)
	old, middle, latest := r.connect(v10), r.connect(v11), r.connect(v12)
	clients := []*client{old, middle, latest}
	for _, c := range clients {
		c.do("SUBSCRIBE", "id:s", "destination:/topic/t")
	}
	for _, tt := range []struct {
		from *client
		sent string
		want [3]string // in 1.0, 1.1, 1.2, decoded as that version does
	}{
		{old, `k:C:\new`, [3]string{`k:C:\new`, `k:C:\new`, `k:C:\new`}},
		{middle, `k:a\cb\nc\\`, [3]string{`k:a:b\nc\`, "k:a:b\nc\\", "k:a:b\nc\\"}},
		{middle, "k:a\rb", [3]string{`k:a\rb`, "k:a\rb", "k:a\rb"}},
		{latest, `k:a\r\nb\\n`, [3]string{`k:a\r\nb\n`, "k:a\r\nb\\n", "k:a\r\nb\\n"}},
		{latest, `k\c:v`, [3]string{`k\c:v`, "k::v", "k::v"}},
		{latest, `correlation-id:a\r\nb\\\c`, [3]string{`correlation-id:a\r\nb\:`, "correlation-id:a\r\nb\\:", "correlation-id:a\r\nb\\:"}},
	} {
		tt.from.send("SEND", "destination:/topic/t", tt.sent)
		for i, c := range clients {
			f := c.message("")
			if got := f.headers[len(f.headers)-1]; got != tt.want[i] {
				t.Errorf("%q to %v: got %q, want %q", tt.sent, c.v, got, tt.want[i])
			}
		}
	}
}
