//go:build integration

package matrix

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// stompClient publishes and subscribes on connections of its own each, for
// STOMP answers in one stream.
type stompClient struct {
	dial func(*testing.T) *wire.Conn
	id   string
	out  *wire.Conn
	subs []*stompInbox
}

func openSTOMP(_ context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	return newSTOMP(t, id, func(t *testing.T) *wire.Conn {
		t.Helper()
		c, err := wire.Dial(b.Addr("stomp"), patience)
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}

func openWebSTOMP(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	return newSTOMP(t, id, func(t *testing.T) *wire.Conn {
		t.Helper()
		return wire.Use(dialWeb(ctx, t, b.Addr("ws"), "v12.stomp"), patience)
	})
}

func newSTOMP(t *testing.T, id string, dial func(*testing.T) *wire.Conn) adapter {
	t.Helper()
	s := &stompClient{dial: dial, id: id}
	s.out = s.connect(t, id+"-out")
	return s
}

func (s *stompClient) connect(t *testing.T, id string) *wire.Conn {
	t.Helper()
	c := s.dial(t)
	stompDo(t, c, wire.New("CONNECT", "accept-version", "1.2", "host", "localhost", "client-id", id), "CONNECTED")
	return c
}

func stompDo(t *testing.T, c *wire.Conn, f wire.Frame, answer string) {
	t.Helper()
	if err := c.Send(f); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Expect(answer, patience); err != nil {
		t.Fatal(err)
	}
}

func (s *stompClient) close() {
	s.out.Close()
	for _, sub := range s.subs {
		sub.conn.Close()
	}
}

func stompName(destination string) string {
	return "/" + strings.Replace(destination, "://", "/", 1)
}

func (s *stompClient) publish(t *testing.T, destination string, c Content) {
	t.Helper()
	f := wire.New("SEND", "destination", stompName(destination), "receipt", "r", "persistent", strconv.FormatBool(c.Durable))
	switch c.Form {
	case formBytes:
		f.Body, _ = hex.DecodeString(c.Text)
	case formMapText:
		f.Body = []byte(stompMap(c.Entries))
	default:
		f.Body = []byte(c.Text)
	}
	for _, p := range c.Properties {
		_, f.Headers[p.Name] = p.Value.Split()
	}
	for _, row := range headers {
		if value, ok := c.Headers[row.name]; ok {
			if value == inAnHour {
				value = strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
			}
			f.Headers[row.field[STOMP]] = value
		}
	}
	if c.Form == formBytes {
		stompDo(t, s.out, f, "RECEIPT")
		return
	}
	// Text has no content-length.
	raw := bytes.Replace(wire.Encode(f), []byte("content-length:"+strconv.Itoa(len(f.Body))+"\n"), nil, 1)
	if _, err := s.out.Write(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := s.out.Expect("RECEIPT", patience); err != nil {
		t.Fatal(err)
	}
}

// stompMap writes a map as XStream does.
func stompMap(entries []Entry) string {
	var list []string
	for _, e := range entries {
		kind, text := e.Value.Split()
		value := `"` + kind + `":` + text
		if kind == "string" {
			value = `"string":["` + e.Name + `","` + text + `"]`
		} else {
			value = `"string":"` + e.Name + `",` + value
		}
		list = append(list, "{"+value+"}")
	}
	return `{"map":{"entry":[` + strings.Join(list, ",") + `]}}`
}

type stompInbox struct {
	conn    *wire.Conn
	durable string
}

func (s *stompClient) subscribe(t *testing.T, destination, durable string) inbox {
	t.Helper()
	sub := &stompInbox{conn: s.connect(t, s.id+durable+"-in"+strconv.Itoa(len(s.subs))), durable: durable}
	if durable != "" {
		sub.conn.Close()
		sub.conn = s.connect(t, s.id+durable)
	}
	s.subs = append(s.subs, sub)
	f := wire.New("SUBSCRIBE", "id", "s", "destination", stompName(destination), "ack", "auto", "receipt", "r")
	if durable != "" {
		f.Headers["activemq.subscriptionName"] = durable
	}
	stompDo(t, sub.conn, f, "RECEIPT")
	return sub
}

func (i *stompInbox) leave(t *testing.T) {
	t.Helper()
	stompDo(t, i.conn, wire.New("DISCONNECT", "receipt", "bye"), "RECEIPT")
	i.conn.Close()
}

// ownHeaders are those that the broker says of every message.
var ownHeaders = map[string]bool{
	"message-id": true, "destination": true, "subscription": true, "timestamp": true, "content-length": true, "content-type": true,
	"persistent": true, "JMSXGroupFirstForConsumer": true, "original-destination": true, "JMSXGroupSeq": true,
}

func (i *stompInbox) receive(t *testing.T) Content {
	t.Helper()
	f, err := i.conn.Expect("MESSAGE", patience)
	if err != nil {
		t.Fatal(err)
	}
	c := Content{Form: formText, Text: string(f.Body), Durable: f.Headers["persistent"] == "true"}
	_, isBytes := f.Headers["content-length"]
	switch {
	case f.Headers["content-type"] == "application/json":
		c.Form = formJSON
	case f.Headers["content-type"] == "application/x-java-serialized-object":
		c.Form, c.Text = formJava, hex.EncodeToString(f.Body)
	case isBytes:
		c.Form, c.Text = formBytes, hex.EncodeToString(f.Body)
	}
	known := map[string]string{}
	for _, row := range headers {
		known[row.field[STOMP]] = row.name
	}
	for name, value := range f.Headers {
		switch row := known[name]; {
		case name == "priority" && value == "4", name == "expires" && value == "0", ownHeaders[name]:
		case name == "expires":
			ms, _ := strconv.ParseInt(value, 10, 64)
			c.put(row, expiryWord(time.Until(time.UnixMilli(ms))))
		case row != "":
			c.put(row, value)
		default:
			c.Properties = append(c.Properties, Entry{name, Value("string:" + value)})
		}
	}
	return c
}

func (c *Content) put(header, value string) {
	if c.Headers == nil {
		c.Headers = map[string]string{}
	}
	c.Headers[header] = value
}
