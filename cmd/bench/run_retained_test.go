package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
)

// rememberer is a broker of MQTT 3.1.1 that can only retain, and forgets every
// topic but the first few if it is told to.
type rememberer struct {
	most int

	mu   sync.Mutex
	kept map[string][]byte // whole packets
}

func (r *rememberer) serve(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.kept = map[string][]byte{}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { r.talk(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

func (r *rememberer) talk(c net.Conn) {
	defer c.Close()
	var in []byte
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		in = append(in, b[:n]...)
		for {
			head, size, err := mqttHead(in)
			if err != nil || size == 0 || size > len(in) {
				break
			}
			if _, err := c.Write(r.answer(in[:size], in[head:size])); err != nil {
				return
			}
			in = in[size:]
		}
	}
}

func (r *rememberer) answer(packet, body []byte) (out []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch packet[0] >> 4 {
	case 1:
		return []byte{mqttConnack << 4, 2, 0, 0}
	case mqttPublish:
		end := 2 + int(body[1])
		switch topic := string(body[2:end]); {
		case end == len(body):
			delete(r.kept, topic)
		case len(r.kept) < r.most:
			r.kept[topic] = bytes.Clone(packet)
		}
	case mqttSubscribe:
		out = []byte{mqttSuback << 4, 3, body[0], body[1], 0}
		for _, p := range r.kept {
			out = append(out, p...)
		}
	case mqttPingreq:
		return []byte{mqttPingresp << 4, 0}
	}
	return out
}

func TestRetainedMessagesAreStoredFetchedAndForgotten(t *testing.T) {
	r := &rememberer{most: 1000}
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--scenario", "q_retained", "--messages", "100", "--json", "--server", r.serve(t)})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var got result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Retained == nil || got.Retained.Topics != 100 || got.Delivered != 100*retainedFetches || got.Retained.FetchedPS <= 0 {
		t.Errorf("got %s", out.String())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) != 0 {
		t.Errorf("%d topics still remember", len(r.kept))
	}
}

func TestRetainedMessagesThatDoNotComeFailTheRun(t *testing.T) {
	r := &rememberer{most: 99}
	cmd := Command()
	cmd.SetOut(new(bytes.Buffer))
	cmd.SetErr(new(bytes.Buffer))
	cmd.SetArgs([]string{"--scenario", "q_retained", "--messages", "100", "--timeout", "1s", "--server", r.serve(t)})
	if err := cmd.Execute(); !errors.Is(err, errIncomplete) || !strings.Contains(err.Error(), "99 of 100") {
		t.Fatalf("got %v", err)
	}
	cmd = Command()
	cmd.SetErr(new(bytes.Buffer))
	cmd.SetArgs([]string{"--scenario", "q_retained", "--protocol", "mqtt-q1", "--window", "1", "--server", "127.0.0.1:1"})
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), "retained is for") {
		t.Fatalf("got %v", err)
	}
}
