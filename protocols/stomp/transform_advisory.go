package stomp

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// maxAdvisory bounds an advisory in XML.
const maxAdvisory = 1 << 20

var errAdvisory = errors.New("the advisory is no JSON object, or a large one")

// isAdvisory reports whether m tells of an event: only the broker sends there.
func isAdvisory(m *message.Message) bool {
	return m.Destination.Kind == message.KindTopic && strings.HasPrefix(m.Destination.Name, broker.AdvisoryPrefix)
}

// xmlOfJSON writes a JSON object as elements of the names of its fields: those of
// an array repeat the name.
func xmlOfJSON(doc []byte) ([]byte, error) {
	var out bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := elements(&out, d); err != nil {
		return nil, fmt.Errorf("%w: %w", errAdvisory, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errAdvisory
	}
	return out.Bytes(), nil
}

// elements writes the fields of the object that d stands before.
func elements(out *bytes.Buffer, d *json.Decoder) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errAdvisory, err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := element(out, fmt.Sprint(name), value); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func element(out *bytes.Buffer, name string, value json.RawMessage) error {
	var list []json.RawMessage
	if value[0] == '[' {
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		for _, v := range list {
			if err := element(out, name, v); err != nil {
				return err
			}
		}
		return nil
	}
	if out.Len() > maxAdvisory {
		return errAdvisory
	}
	fmt.Fprintf(out, "<%s>", name)
	switch text := string(value); {
	case value[0] == '{':
		d := json.NewDecoder(bytes.NewReader(value))
		d.UseNumber()
		if err := elements(out, d); err != nil {
			return err
		}
	case text == "null":
	default:
		if value[0] == '"' {
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
		}
		_ = xml.EscapeText(out, []byte(text)) // a buffer takes everything
	}
	fmt.Fprintf(out, "</%s>", name)
	return nil
}

// appendStructured renders a body that is a map, a list or a value.
func (c *conn) appendStructured(b []byte, m *message.Message, v message.Value, t transformation) (head, body []byte, contentType string) {
	advisory := isAdvisory(m)
	if entries, ok := v.Map(); ok && t.maps() && !advisory {
		return appendHeader(b, "transformation", t.ofMaps(), c.version), t.encode(entries), ""
	}
	body = message.AppendJSON(nil, v)
	if !advisory || !t.advisories() {
		return b, body, "application/json"
	}
	doc, err := xmlOfJSON(body)
	if err != nil {
		return appendHeader(b, "transformation-error", err.Error(), c.version), body, "application/json"
	}
	return appendHeader(b, "transformation", "jms-advisory-xml", c.version), doc, "text/xml"
}
