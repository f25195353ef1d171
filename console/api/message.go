package api

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// messageModel is a message as it goes out, and as it is sent and imported.
// Of those only readEnvelope's fields count, and the content: properties and
// body, or encoding and payload.
type messageModel struct {
	Ref           string            `json:"ref,omitempty"`
	ID            string            `json:"id,omitempty"`
	Destination   string            `json:"destination,omitempty"`
	Origin        string            `json:"origin,omitempty"`
	ReplyTo       string            `json:"replyTo,omitempty"`
	Persistent    *bool             `json:"persistent,omitempty"`
	Priority      *uint8            `json:"priority,omitempty"`
	Timestamp     int64             `json:"timestamp,omitempty"`
	Expires       int64             `json:"expires,omitempty"`
	DeliverAt     int64             `json:"deliverAt,omitempty"`
	Schedule      *scheduleRequest  `json:"schedule,omitempty"`
	MessageID     string            `json:"messageId,omitempty"`
	CorrelationID string            `json:"correlationId,omitempty"`
	GroupID       string            `json:"groupId,omitempty"`
	GroupSeq      int32             `json:"groupSeq,omitempty"`
	Type          string            `json:"type,omitempty"`
	ContentType   string            `json:"contentType,omitempty"`
	UserID        string            `json:"userId,omitempty"`
	Redeliveries  uint32            `json:"redeliveries,omitempty"`
	InFlight      bool              `json:"inFlight,omitempty"`
	Size          int               `json:"size,omitempty"`
	Annotations   []annotationModel `json:"annotations,omitempty"`
	Properties    []propertyModel   `json:"properties,omitempty"`
	Body          *bodyModel        `json:"body,omitempty"`
	ViewError     string            `json:"viewError,omitempty"`
	Encoding      string            `json:"encoding,omitempty"`
	Payload       []byte            `json:"payload,omitempty"`
}

// scheduleRequest says when a message is to be sent that is sent now. The
// broker checks it.
type scheduleRequest struct {
	Delay  int64  `json:"delay,omitempty"`
	Period int64  `json:"period,omitempty"`
	Repeat uint32 `json:"repeat,omitempty"`
	Cron   string `json:"cron,omitempty"`
	Zone   string `json:"zone,omitempty"`
}

// annotations are what the broker knows a schedule by.
func (s *scheduleRequest) annotations() (all []message.Annotation) {
	set := func(name, value string) {
		if value != "" && value != "0" {
			all = append(all, message.Annotation{Name: "AMQ_SCHEDULED_" + name, Value: value})
		}
	}
	set("DELAY", strconv.FormatInt(s.Delay, 10))
	set("PERIOD", strconv.FormatInt(s.Period, 10))
	set("REPEAT", strconv.FormatUint(uint64(s.Repeat), 10))
	set("CRON", s.Cron)
	set("TZ", s.Zone)
	return all
}

type annotationModel struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type propertyModel struct {
	Name  string `json:"name"`
	Type  string `json:"type,omitempty"`
	Value any    `json:"value"`
}

// bodyModel is a body: text or base64, or a value of JSON.
type bodyModel struct {
	Kind      string  `json:"kind"`
	Text      *string `json:"text,omitempty"`
	Base64    []byte  `json:"base64,omitempty"`
	Value     any     `json:"value,omitempty"`
	Size      int     `json:"size"`
	Truncated bool    `json:"truncated,omitempty"`
}

// showWaiting shows a message where it waits, with no more than maxBody bytes
// of its body.
func (a *API) showWaiting(w *broker.Waiting, maxBody int) messageModel {
	m := a.showMessage(w.Message, maxBody)
	m.Ref, m.InFlight = w.Ref.String(), w.InFlight
	m.Redeliveries += w.Attempts
	return m
}

func (a *API) showMessage(m *message.Message, maxBody int) messageModel {
	out := showEnvelope(m)
	out.Encoding, out.Size = m.Encoding().String(), len(m.Payload())
	v, err := m.View(a.o.Converters)
	if err != nil {
		out.ViewError = err.Error()
		return out
	}
	for _, p := range v.Properties {
		out.Properties = append(out.Properties, propertyModel{p.Name, p.Value.Type().String(), jsonValue(p.Value, 0)})
	}
	out.Body = showBody(&v.Body, maxBody)
	return out
}

func showEnvelope(m *message.Message) messageModel {
	out := messageModel{
		ID: m.ID.String(), Destination: m.Destination.String(), Persistent: &m.Durable, Priority: &m.Priority,
		Timestamp: m.Timestamp, Expires: m.Expiry, DeliverAt: m.DeliverAt, MessageID: m.MessageID,
		CorrelationID: m.CorrelationID, GroupID: m.GroupID, GroupSeq: m.GroupSeq, Type: m.Type,
		ContentType: m.ContentType, UserID: m.UserID, Redeliveries: m.Redeliveries,
	}
	if !m.Origin.IsZero() {
		out.Origin = m.Origin.String()
	}
	if !m.ReplyTo.IsZero() {
		out.ReplyTo = m.ReplyTo.String()
	}
	for _, a := range m.Annotations {
		out.Annotations = append(out.Annotations, annotationModel(a))
	}
	return out
}

func showBody(b *message.Body, most int) *bodyModel {
	out := &bodyModel{Kind: b.Kind.String(), Size: len(b.Data)}
	switch b.Kind {
	case message.BodyText, message.BodyBytes, message.BodyObject:
		data := b.Data
		if len(data) > most {
			data, out.Truncated = data[:most], true
		}
		if b.Kind == message.BodyText {
			for out.Truncated && len(data) > 0 && !utf8.RuneStart(b.Data[len(data)]) {
				data = data[:len(data)-1]
			}
		}
		if b.Kind != message.BodyObject && utf8.Valid(data) {
			text := string(data)
			out.Text = &text
		} else {
			out.Base64 = data
		}
	case message.BodyMap, message.BodyStream, message.BodyValue:
		out.Value = jsonValue(b.Value, 0)
	case message.BodyNone:
	}
	return out
}

// jsonValue writes a value as JSON. Whole numbers that JavaScript would round
// and what JSON has no word for become text.
func jsonValue(v message.Value, depth int) any {
	const exact = 1 << 53
	switch v.Type() {
	case message.TypeNull:
		return nil
	case message.TypeBool:
		b, _ := v.Bool()
		return b
	case message.TypeInt8, message.TypeInt16, message.TypeInt32, message.TypeInt64,
		message.TypeUint8, message.TypeUint16, message.TypeUint32, message.TypeUint64, message.TypeTimestamp:
		n, ok := v.Int64()
		if v.Type() == message.TypeTimestamp {
			n, ok = v.Timestamp()
		}
		if ok && n > -exact && n < exact {
			return n
		}
	case message.TypeFloat, message.TypeDouble:
		if f, _ := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	case message.TypeBinary:
		b, _ := v.Binary()
		return base64.StdEncoding.EncodeToString(b)
	case message.TypeList, message.TypeArray:
		return jsonList(v, depth)
	case message.TypeMap:
		return jsonMap(v, depth)
	case message.TypeDecimal32, message.TypeDecimal64, message.TypeDecimal128, message.TypeChar, message.TypeUUID,
		message.TypeString, message.TypeSymbol, message.TypeDescribed:
	}
	return v.String()
}

func jsonList(v message.Value, depth int) any {
	in, _ := v.List()
	out := make([]any, len(in))
	for i := range in {
		out[i] = jsonValue(in[i], depth+1)
	}
	return out
}

func jsonMap(v message.Value, depth int) any {
	in, _ := v.Map()
	out := make(map[string]any, len(in))
	for _, e := range in {
		out[e.Key.String()] = jsonValue(e.Value, depth+1)
	}
	return out
}

// build makes a message to d of what was sent or imported.
func (a *API) build(b *broker.Broker, m *messageModel, d message.Destination) (*message.Message, error) {
	e := message.Envelope{
		ID: b.NewID(), Destination: d, Durable: m.Persistent == nil || *m.Persistent, Priority: message.DefaultPriority,
		Timestamp: m.Timestamp, Expiry: m.Expires, DeliverAt: m.DeliverAt, MessageID: m.MessageID, CorrelationID: m.CorrelationID,
		GroupID: m.GroupID, GroupSeq: m.GroupSeq, Type: m.Type, ContentType: m.ContentType,
	}
	if m.Priority != nil {
		if *m.Priority > message.MaxPriority {
			return nil, invalid("priority %d is not from 0 to 9", *m.Priority)
		}
		e.Priority = *m.Priority
	}
	if e.Timestamp == 0 {
		e.Timestamp = b.NowMs()
	}
	if m.Expires < 0 || m.Timestamp < 0 || m.DeliverAt < 0 {
		return nil, invalid("a time is negative")
	}
	if m.Schedule != nil {
		e.Annotations = m.Schedule.annotations()
	}
	if m.ReplyTo != "" {
		to, err := message.ParseDestination(m.ReplyTo, message.KindQueue)
		if err != nil {
			return nil, invalid("replyTo: %v", err)
		}
		e.ReplyTo = to
	}
	if len(m.Payload) > 0 {
		return a.buildEncoded(&e, m)
	}
	return buildView(&e, m)
}

// buildEncoded makes a message of a payload in its publisher's encoding, which
// has to be right: consumers of the same protocol get it as it is.
func (a *API) buildEncoded(e *message.Envelope, m *messageModel) (*message.Message, error) {
	for enc := message.EncodingHub; enc <= message.EncodingOpenWire; enc++ {
		if enc.String() != m.Encoding {
			continue
		}
		out := message.New(e, enc, m.Payload)
		if _, err := out.View(a.o.Converters); err != nil {
			return nil, invalid("the payload is not what its encoding says: %v", err)
		}
		return out, nil
	}
	return nil, invalid("there is no encoding %q", m.Encoding)
}

func buildView(e *message.Envelope, m *messageModel) (*message.Message, error) {
	v := message.View{}
	for _, p := range m.Properties {
		value, err := readValue(p.Type, p.Value)
		if err != nil {
			return nil, invalid("property %q: %v", p.Name, err)
		}
		if p.Name == "" {
			return nil, invalid("a property has no name")
		}
		v.Properties = append(v.Properties, message.Property{Name: p.Name, Value: value})
	}
	if m.Body != nil {
		body, err := readBody(m.Body)
		if err != nil {
			return nil, err
		}
		v.Body = body
	}
	return message.NewView(e, &v), nil
}

func readBody(b *bodyModel) (message.Body, error) {
	switch {
	case b.Truncated:
		return message.Body{}, invalid("the body was truncated when it was shown")
	case b.Text != nil && (b.Kind == "" || b.Kind == "text"):
		return message.TextBody(*b.Text), nil
	case b.Text != nil && b.Kind == "bytes":
		return message.BytesBody([]byte(*b.Text)), nil
	case b.Kind == "bytes" || b.Kind == "" && b.Base64 != nil:
		return message.BytesBody(b.Base64), nil
	case b.Kind == "text":
		return message.TextBody(""), nil
	case b.Kind == "object":
		return message.ObjectBody(b.Base64), nil
	case b.Kind == "none" || b.Kind == "":
		return message.Body{}, nil
	case b.Kind == "map", b.Kind == "stream", b.Kind == "value":
		v, err := jsonToValue(b.Value, 0)
		if err != nil {
			return message.Body{}, invalid("body: %v", err)
		}
		return composed(b.Kind, v)
	}
	return message.Body{}, invalid("there is no kind of body %q", b.Kind)
}

func composed(kind string, v message.Value) (message.Body, error) {
	entries, isMap := v.Map()
	elements, isList := v.List()
	switch {
	case kind == "value":
		return message.ValueBody(v), nil
	case kind == "map" && isMap:
		return message.MapBody(entries), nil
	case kind == "stream" && isList:
		return message.StreamBody(elements), nil
	}
	return message.Body{}, invalid("the value of the body is not a %s", kind)
}

// jsonToValue reads a JSON value: numbers become long or double.
func jsonToValue(j any, depth int) (message.Value, error) {
	if depth >= message.MaxDepth {
		return message.Value{}, message.ErrDepth
	}
	switch j := j.(type) {
	case nil:
		return message.Null(), nil
	case bool:
		return message.BoolValue(j), nil
	case string:
		return message.StringValue(j), nil
	case float64:
		if j == math.Trunc(j) && math.Abs(j) < 1<<53 {
			return message.Int64Value(int64(j)), nil
		}
		return message.DoubleValue(j), nil
	case []any:
		out := make([]message.Value, len(j))
		for i := range j {
			v, err := jsonToValue(j[i], depth+1)
			if err != nil {
				return v, err
			}
			out[i] = v
		}
		return message.ListValue(out), nil
	case map[string]any:
		return jsonToMap(j, depth)
	}
	return message.Value{}, fmt.Errorf("a %T is no value", j)
}

func jsonToMap(j map[string]any, depth int) (message.Value, error) {
	out := make([]message.MapEntry, 0, len(j))
	for _, k := range sortedKeys(j) {
		v, err := jsonToValue(j[k], depth+1)
		if err != nil {
			return v, err
		}
		out = append(out, message.MapEntry{Key: message.StringValue(k), Value: v})
	}
	return message.MapValue(out), nil
}

// readValue reads a property's value of a type that has a name, or of the
// type that JSON gives it.
func readValue(typ string, j any) (message.Value, error) {
	text := fmt.Sprint(j)
	if f, ok := j.(float64); ok {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	var n int64
	var f float64
	var err error
	switch typ {
	case "int8", "int16", "int32", "int64", "timestamp":
		n, err = strconv.ParseInt(text, 10, map[string]int{"int8": 8, "int16": 16, "int32": 32}[typ])
	case "float", "double":
		f, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		return message.Value{}, fmt.Errorf("%q is no %s", text, typ)
	}
	switch typ {
	case "string":
		if s, ok := j.(string); ok {
			return message.StringValue(s), nil
		}
	case "bool":
		if b, ok := j.(bool); ok {
			return message.BoolValue(b), nil
		}
	case "int8":
		return message.Int8Value(int8(n)), nil
	case "int16":
		return message.Int16Value(int16(n)), nil
	case "int32":
		return message.Int32Value(int32(n)), nil
	case "int64":
		return message.Int64Value(n), nil
	case "timestamp":
		return message.TimestampValue(n), nil
	case "float":
		return message.FloatValue(float32(f)), nil
	case "double":
		return message.DoubleValue(f), nil
	case "":
		return jsonToValue(j, 0)
	default:
		return message.Value{}, fmt.Errorf("values of type %q can't be written here", typ)
	}
	return message.Value{}, fmt.Errorf("%q is no %s", text, typ)
}
