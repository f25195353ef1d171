package topic

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

func at(name string, n int) *message.Message {
	return message.New(&message.Envelope{Destination: message.Topic(name), CorrelationID: fmt.Sprint(n)}, message.EncodingHub)
}

func (h *History) texts(pattern string, d Depth) string {
	var out []string
	for _, m := range h.Match(pattern, func(string) Depth { return d }) {
		out = append(out, m.Destination.Name+m.CorrelationID)
	}
	return strings.Join(out, " ")
}

func TestAHistoryKeepsAsMuchAsItsDepthSays(t *testing.T) {
	size := at("t", 0).Size()
	for _, tt := range []struct {
		depth Depth
		want  string
	}{
		{Depth{}, ""},
		{Depth{Messages: 1}, "t9"},
		{Depth{Messages: 3}, "t7 t8 t9"},
		{Depth{Bytes: 2 * size}, "t8 t9"},
		{Depth{Bytes: 1}, "t9"},
		{Depth{Age: 1500 * time.Millisecond}, "t8 t9"},
	} {
		now := time.Unix(1000, 0)
		h := NewHistory(1<<20, func() time.Time { return now })
		for n := range 10 {
			now = now.Add(time.Second)
			h.Add(at("t", n), tt.depth)
		}
		if got := h.texts("t", tt.depth); got != tt.want {
			t.Errorf("%+v keeps %q, want %q", tt.depth, got, tt.want)
		}
		now = now.Add(time.Hour)
		if got := h.texts("t", tt.depth); tt.depth.Age > 0 && got != "" {
			t.Errorf("an hour later %q is not too old", got)
		}
	}
}

func TestAHistoryIsBoundedOverAllTopics(t *testing.T) {
	size := at("t0", 0).Size()
	h := NewHistory(4*size, time.Now)
	for n := range 4 {
		h.Add(at(fmt.Sprintf("t%d", n), 0), Depth{Messages: 10})
	}
	h.Add(at("t0", 1), Depth{Messages: 10})
	if got := h.texts("t0", Depth{}); got != "t00 t01" {
		t.Errorf("of the topic used last %q is kept", got)
	}
	if got := h.texts("t1", Depth{}); got != "" {
		t.Errorf("of the topic used first %q is kept", got)
	}
	for n := range 10 {
		h.Add(at("t9", n), Depth{Messages: 100})
	}
	if got := h.texts(">", Depth{}); got != "t96 t97 t98 t99" {
		t.Errorf("kept %q", got)
	}
	big := message.New(&message.Envelope{Destination: message.Topic("t9")}, message.EncodingHub, make([]byte, 5*size))
	h.Add(big, Depth{Messages: 100})
	if h.bytes != 4*size || h.used.Len() != 1 {
		t.Errorf("%d bytes of %d topics", h.bytes, h.used.Len())
	}
}
