package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// Bounds of ActiveMQ's REST: its own defaults.
const (
	restBody       = 100_000 // bytes of a message
	restTimeout    = 20 * time.Second
	restMaxTimeout = 60 * time.Second
)

// restParameters are those of ActiveMQ's servlet; any other is a property.
var restParameters = []string{
	"destination", "type", "body", "clientId", "readTimeout", "oneShot", "sync", "action", "json", "selector",
	"JMSPriority", "JMSTimeToLive", "JMSDeliveryMode", "JMSReplyTo", "JMSType", "JMSCorrelationID", "JMSExpiration",
}

// restDestination reads the destination from the path, or from a parameter.
// As in ActiveMQ it is a topic unless type=queue says otherwise.
func (c *call) restDestination(q url.Values) (message.Destination, error) {
	name := q.Get("destination")
	if path := strings.Trim(c.r.PathValue("path"), "/"); path != "" {
		name = strings.ReplaceAll(path, "/", ".")
	}
	kind := message.KindTopic
	switch q.Get("type") {
	case "queue":
		kind = message.KindQueue
	case "", "topic":
	default:
		return message.Destination{}, invalid("type=%q is neither queue nor topic", q.Get("type"))
	}
	d, err := message.ParseDestination(name, kind)
	switch {
	case err != nil:
		return d, invalid("destination: %v", err)
	case d.Kind.IsTemp() || d.IsComposite() || message.IsPattern(d.Name):
		return d, invalid("%q names no queue and no topic", name)
	}
	return d, nil
}

// restSend is POST /api/message: the body is the parameter body, or the
// request's.
func (c *call) restSend() error {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, restBody+16<<10) // with a form's names
	q, text, err := c.restForm()
	if err != nil {
		return err
	}
	if len(text) > restBody {
		return &problem{status: http.StatusRequestEntityTooLarge, detail: "the body is longer than 100000 bytes"}
	}
	d, err := c.restDestination(q)
	if err != nil {
		return err
	}
	if err := c.mayWrite(d, true); err != nil {
		return err
	}
	m, err := c.restModel(q, text)
	if err != nil {
		return err
	}
	msg, err := c.build(c.b, m, d)
	if err != nil {
		return err
	}
	if err := c.b.Send(true, msg); err != nil {
		return err
	}
	c.w.Header().Set("messageID", msg.ID.String())
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(c.w, "Message sent") // the client may be gone
	return nil
}

// restForm returns the parameters and the text of the message.
func (c *call) restForm() (q url.Values, text string, err error) {
	q, err = url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, "", invalid("the query is malformed: %v", err)
	}
	raw, err := io.ReadAll(c.r.Body)
	if err != nil {
		return nil, "", err
	}
	if strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, "", invalid("the form is malformed: %v", err)
		}
		for k, v := range form {
			if !q.Has(k) {
				q[k] = v
			}
		}
		// Tools say that they send a form when they send text.
		if !q.Has("body") {
			return q, string(raw), nil
		}
	}
	if q.Has("body") {
		return q, q.Get("body"), nil
	}
	return q, string(raw), nil
}

func (c *call) restModel(q url.Values, text string) (*messageModel, error) {
	m := &messageModel{
		ReplyTo: q.Get("JMSReplyTo"), Type: q.Get("JMSType"), CorrelationID: q.Get("JMSCorrelationID"),
		Body: &bodyModel{Kind: "text", Text: &text},
	}
	switch mode := q.Get("JMSDeliveryMode"); strings.ToLower(mode) {
	case "", "non_persistent", "non-persistent", "1":
		persistent := mode == ""
		m.Persistent = &persistent
	case "persistent", "2":
	default:
		return nil, invalid("JMSDeliveryMode=%q is neither persistent nor non_persistent", mode)
	}
	priority, err := number(q, "JMSPriority", message.DefaultPriority, 0, message.MaxPriority)
	if err != nil {
		return nil, err
	}
	p := uint8(priority)
	m.Priority = &p
	live, err := number(q, "JMSTimeToLive", 0, 0, 1<<53)
	if err != nil {
		return nil, err
	}
	if live > 0 {
		m.Expires = c.b.NowMs() + int64(live)
	}
	for _, name := range sortedKeys(q) {
		if !slices.Contains(restParameters, name) {
			m.Properties = append(m.Properties, propertyModel{Name: name, Type: "string", Value: q.Get(name)})
		}
	}
	return m, nil
}

// waiting is a consumer that waits for one message.
type waiting struct{ got chan broker.Delivery }

func (w *waiting) Deliver(d broker.Delivery) {
	select {
	case w.got <- d:
	default: // its window is one
	}
}
func (w *waiting) Resume()      {}
func (w *waiting) Closed(error) {}

// restReceive is GET and DELETE /api/message: one message, or 204 when there
// was none in time. The message is consumed when it has been written.
func (c *call) restReceive() error {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return invalid("the query is malformed: %v", err)
	}
	d, err := c.restDestination(q)
	if err != nil {
		return err
	}
	if err := c.may(security.Read, d); err != nil {
		return err
	}
	ms, err := number(q, "readTimeout", int(restTimeout.Milliseconds()), 0, int(restMaxTimeout.Milliseconds()))
	if err != nil {
		return err
	}
	timeout := time.Duration(ms) * time.Millisecond
	w := &waiting{got: make(chan broker.Delivery, 1)}
	s, err := c.restSession(w)
	if err != nil {
		return err
	}
	defer s.Close()
	selector := c.r.Header.Get("selector")
	if selector == "" {
		selector = q.Get("selector")
	}
	k, err := s.Subscribe(broker.Subscription{Destination: d, Selector: selector, Window: 1})
	if err != nil {
		return err
	}
	control := http.NewResponseController(c.w)
	if err := control.SetWriteDeadline(time.Now().Add(timeout + answerTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	wait := time.NewTimer(timeout)
	defer wait.Stop()
	select {
	case got := <-w.got:
		return c.restAnswer(k, got)
	case <-wait.C:
		return c.none()
	case <-c.r.Context().Done():
		return nil
	}
}

func (c *call) restSession(sink broker.Sink) (*broker.Session, error) {
	login, passcode, ok := c.r.BasicAuth()
	if !ok {
		passcode = strings.TrimPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	}
	return c.b.Connect(broker.ConnectRequest{Protocol: "http", Login: login, Passcode: passcode, TLS: c.r.TLS, Listener: "console", Sink: sink})
}

// done is a broker.Done that is waited for.
type done chan error

// Complete implements broker.Done.
func (d done) Complete(_ uint64, err error) { d <- err }

func (c *call) restAnswer(k *broker.Consumer, got broker.Delivery) error {
	m := got.Message
	v, err := m.View(c.o.Converters)
	if err != nil {
		_ = k.Settle(got.Tag, broker.Released, nil, 0) // the delivery is ours
		return &problem{status: http.StatusUnprocessableEntity, detail: err.Error()}
	}
	h := c.w.Header()
	h.Set("destination", m.Destination.String())
	h.Set("id", m.ID.String())
	h.Set("messageID", m.ID.String())
	if m.CorrelationID != "" {
		h.Set("JMSCorrelationID", headerText(m.CorrelationID))
	}
	for _, p := range v.Properties {
		if headerName(p.Name) && h.Get(p.Name) == "" {
			h.Set(p.Name, headerText(p.Value.String()))
		}
	}
	body := v.Body.Data
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if v.Body.Kind != message.BodyText {
		h.Set("Content-Type", "application/octet-stream")
		if body == nil {
			body = v.Body.Value.AppendText(nil)
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, err = io.Copy(c.w, bytes.NewReader(body))
	if err == nil {
		err = http.NewResponseController(c.w).Flush()
	}
	if err != nil {
		_ = k.Settle(got.Tag, broker.Modified, nil, 0) // nobody got it: somebody else may
		return nil                                     //nolint:nilerr // the client is gone
	}
	w := make(done, 1)
	if err := k.Settle(got.Tag, broker.Accepted, w, 0); err == nil {
		<-w //nolint:errcheck // the client has the message, however its end is kept
	}
	return nil
}

// headerName reports whether a property can be a header that changes nothing
// about the answer.
func headerName(name string) bool {
	if name == "" || len(name) > 64 || strings.HasPrefix(strings.ToLower(name), "content-") {
		return false
	}
	for _, r := range name {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	switch strings.ToLower(name) {
	case "set-cookie", "location", "refresh", "connection", "transfer-encoding", "trailer", "upgrade", "www-authenticate",
		"clear-site-data", "access-control-allow-origin", "access-control-allow-credentials":
		return false
	}
	return true
}

// headerText is a property's value in a header: a line without controls.
func headerText(s string) string {
	const longest = 4096
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}
