//go:build integration

package matrix

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

type amqpClient struct {
	ctx     context.Context
	connect func(t *testing.T, id string) (*amqp.Conn, *amqp.Session)
	id      string
	out     *amqp.Session
	senders map[string]*amqp.Sender
	conns   []*amqp.Conn
}

func openAMQP(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	return newAMQP(ctx, t, id, func(t *testing.T, o *amqp.ConnOptions) (*amqp.Conn, error) {
		t.Helper()
		return amqp.Dial(ctx, "amqp://"+b.Addr("amqp"), o)
	})
}

func openWebAMQP(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	return newAMQP(ctx, t, id, func(t *testing.T, o *amqp.ConnOptions) (*amqp.Conn, error) {
		return amqp.NewConn(ctx, dialWeb(ctx, t, b.Addr("ws"), "amqp"), o)
	})
}

func newAMQP(ctx context.Context, t *testing.T, id string, dial func(*testing.T, *amqp.ConnOptions) (*amqp.Conn, error)) adapter {
	t.Helper()
	c := &amqpClient{ctx: ctx, id: id, senders: map[string]*amqp.Sender{}}
	c.connect = func(t *testing.T, id string) (*amqp.Conn, *amqp.Session) {
		t.Helper()
		var conn *amqp.Conn
		var s *amqp.Session
		var last error
		err := harness.Until(ctx, patience, "the connection of "+id, func() bool {
			// The client does not wait for the end of the one before, which has its id.
			if conn, last = dial(t, &amqp.ConnOptions{ContainerID: id}); last == nil {
				s, last = conn.NewSession(ctx, nil)
			}
			return last == nil
		})
		if err != nil {
			t.Fatal(err, last)
		}
		c.conns = append(c.conns, conn)
		return conn, s
	}
	_, c.out = c.connect(t, id+"-out")
	return c
}

func (c *amqpClient) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

func (c *amqpClient) publish(t *testing.T, destination string, m Content) {
	t.Helper()
	s := c.senders[destination]
	if s == nil {
		var err error
		if s, err = c.out.NewSender(c.ctx, destination, nil); err != nil {
			t.Fatal(err)
		}
		c.senders[destination] = s
	}
	out := &amqp.Message{Header: &amqp.MessageHeader{Durable: m.Durable, Priority: 4}, Properties: &amqp.MessageProperties{}}
	amqpBody(out, m)
	if len(m.Properties) > 0 {
		out.ApplicationProperties = amqpMap(m.Properties)
	}
	for name, value := range m.Headers {
		switch name {
		case "correlation id":
			out.Properties.CorrelationID = value
		case "reply to":
			out.Properties.ReplyTo = &value
		case "type":
			out.Properties.Subject = &value
		case "group":
			out.Properties.GroupID = &value
		case "priority":
			n, _ := strconv.Atoi(value)
			out.Header.Priority = uint8(n)
		case "expiry":
			out.Header.TTL = time.Hour
		}
	}
	if err := s.Send(c.ctx, out, nil); err != nil {
		t.Fatal(err)
	}
}

func amqpBody(out *amqp.Message, m Content) {
	raw, _ := hex.DecodeString(m.Text)
	textPlain, java := "text/plain; charset=utf-8", "application/x-java-serialized-object"
	switch m.Form {
	case formData:
		out.Data = [][]byte{raw}
	case formTextData:
		out.Data, out.Properties.ContentType = [][]byte{[]byte(m.Text)}, &textPlain
	case formJava:
		out.Data, out.Properties.ContentType = [][]byte{raw}, &java
	case formString:
		out.Value = m.Text
	case formMap:
		out.Value = amqpMap(m.Entries)
	case formList:
		out.Value = amqpList(m.Entries)
	case formSequence:
		out.Sequence = [][]any{amqpList(m.Entries)}
	case formNull:
		out.Value = amqp.Null{}
	case formValue:
		out.Value = amqpValue(m.Entries[0].Value)
	}
}

func amqpMap(list []Entry) map[string]any {
	out := map[string]any{}
	for _, e := range list {
		out[e.Name] = amqpValue(e.Value)
	}
	return out
}

func amqpList(list []Entry) (out []any) {
	for _, e := range list {
		out = append(out, amqpValue(e.Value))
	}
	return out
}

func amqpValue(v Value) any {
	kind, text := v.Split()
	signed, _ := strconv.ParseInt(text, 10, 64)
	unsigned, _ := strconv.ParseUint(text, 10, 64)
	float, _ := strconv.ParseFloat(text, 64)
	switch kind {
	case "bool":
		return text == "true"
	case "byte":
		return int8(signed)
	case "short":
		return int16(signed)
	case "int":
		return int32(signed)
	case "long":
		return signed
	case "float":
		return float32(float)
	case "double":
		return float
	case "binary":
		raw, _ := hex.DecodeString(text)
		return raw
	case "ubyte":
		return uint8(unsigned)
	case "ushort":
		return uint16(unsigned)
	case "uint":
		return uint32(unsigned)
	case "ulong":
		return unsigned
	case "timestamp":
		return time.UnixMilli(signed).UTC()
	case "uuid":
		var id amqp.UUID
		_, _ = hex.Decode(id[:], []byte(strings.ReplaceAll(text, "-", "")))
		return id
	case "symbol":
		return amqp.Symbol(text)
	}
	return text
}

// amqpWord is the inverse of amqpValue; the client doesn't tell symbols from
// strings.
func amqpWord(v any) Value {
	switch v := v.(type) {
	case bool:
		return Value("bool:" + strconv.FormatBool(v))
	case int8:
		return Value(fmt.Sprint("byte:", v))
	case int16:
		return Value(fmt.Sprint("short:", v))
	case int32:
		return Value(fmt.Sprint("int:", v))
	case int64:
		return Value(fmt.Sprint("long:", v))
	case float32:
		return Value(fmt.Sprint("float:", v))
	case float64:
		return Value(fmt.Sprint("double:", v))
	case []byte:
		return Value("binary:" + hex.EncodeToString(v))
	case uint8:
		return Value(fmt.Sprint("ubyte:", v))
	case uint16:
		return Value(fmt.Sprint("ushort:", v))
	case uint32:
		return Value(fmt.Sprint("uint:", v))
	case uint64:
		return Value(fmt.Sprint("ulong:", v))
	case time.Time:
		return Value(fmt.Sprint("timestamp:", v.UnixMilli()))
	case amqp.UUID:
		return Value("uuid:" + v.String())
	case string:
		return Value("string:" + v)
	}
	return Value(fmt.Sprintf("%T:%v", v, v))
}

func amqpEntries(m map[string]any) (out []Entry) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Entry{k, amqpWord(m[k])})
	}
	return out
}

// symbolsAsStrings is what the client makes of what arrives.
func symbolsAsStrings(list []Entry) []Entry {
	out := slices.Clone(list)
	for i := range out {
		if text, ok := strings.CutPrefix(string(out[i].Value), "symbol:"); ok {
			out[i].Value = Value("string:" + text)
		}
	}
	return out
}

type amqpInbox struct {
	client   *amqpClient
	conn     *amqp.Conn
	session  *amqp.Session
	receiver *amqp.Receiver
}

func (c *amqpClient) subscribe(t *testing.T, destination, durable string) inbox {
	t.Helper()
	id, o := fmt.Sprint(c.id, "-in", len(c.conns)), &amqp.ReceiverOptions{}
	if durable != "" {
		id = c.id + durable
		o.Name, o.Durability, o.ExpiryPolicy = durable, amqp.DurabilityUnsettledState, amqp.ExpiryPolicyNever
		o.SourceDurability, o.SourceExpiryPolicy = o.Durability, o.ExpiryPolicy
	}
	conn, s := c.connect(t, id)
	r, err := s.NewReceiver(c.ctx, destination, o)
	if err != nil {
		t.Fatal(err)
	}
	return &amqpInbox{client: c, conn: conn, session: s, receiver: r}
}

// leave ends the session, and not the link, which would remove a durable
// subscription. The client waits for the answer to that, unlike that to the
// connection's end.
func (i *amqpInbox) leave(t *testing.T) {
	t.Helper()
	if err := i.session.Close(i.client.ctx); err != nil {
		t.Fatal(err)
	}
	if err := i.conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func (i *amqpInbox) receive(t *testing.T) Content {
	t.Helper()
	ctx, cancel := context.WithTimeout(i.client.ctx, patience)
	defer cancel()
	m, err := i.receiver.Receive(ctx, nil)
	if err == nil {
		err = i.receiver.AcceptMessage(ctx, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := amqpContent(m)
	c.Properties = amqpEntries(m.ApplicationProperties)
	if m.Header == nil {
		return c
	}
	c.Durable = m.Header.Durable
	if m.Header.Priority != 4 {
		c.put("priority", strconv.Itoa(int(m.Header.Priority)))
	}
	if m.Header.TTL != 0 {
		c.put("expiry", expiryWord(m.Header.TTL))
	}
	if p := m.Properties; p != nil {
		if p.CorrelationID != nil {
			c.put("correlation id", fmt.Sprint(p.CorrelationID))
		}
		for name, field := range map[string]*string{"reply to": p.ReplyTo, "type": p.Subject, "group": p.GroupID} {
			if field != nil {
				c.put(name, *field)
			}
		}
	}
	return c
}

func amqpContent(m *amqp.Message) (c Content) {
	contentType := ""
	if m.Properties != nil && m.Properties.ContentType != nil {
		contentType = *m.Properties.ContentType
	}
	list := func(values []any) {
		for _, v := range values {
			c.Entries = append(c.Entries, Entry{"", amqpWord(v)})
		}
	}
	switch {
	case len(m.Data) > 0:
		c.Form, c.Text = formData, hex.EncodeToString(m.GetData())
		if strings.HasPrefix(contentType, "text/plain") {
			c.Form, c.Text = formTextData, string(m.GetData())
		} else if contentType != "" {
			c.Form = formJava
		}
	case len(m.Sequence) > 0:
		c.Form = formSequence
		list(m.Sequence[0])
	default:
		switch v := m.Value.(type) {
		case string:
			c.Form, c.Text = formString, v
		case map[string]any:
			c.Form, c.Entries = formMap, amqpEntries(v)
		case []any:
			c.Form = formList
			list(v)
		case nil, amqp.Null:
			c.Form = formNull
		default:
			c.Form, c.Entries = formValue, []Entry{{"", amqpWord(v)}}
		}
	}
	return c
}
