//go:build integration

package matrix

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// javaPeer is the compiled program, the same for all cells.
var javaPeer = sync.OnceValues(func() ([2]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	java, classPath, err := harness.Java(ctx, filepath.Join("..", "openwire", "java", "pom5.xml"), "java", javaDir)
	return [2]string{java, classPath}, err
})

// jmsClient is ActiveMQ's Java client in a process of its own that does what it
// is told in lines.
type jmsClient struct {
	in     io.WriteCloser
	out    *bufio.Reader
	cmd    *exec.Cmd
	inboxs int
}

func openOpenWire(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	program, err := javaPeer()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program[0], "-cp", program[1], "Peer", "tcp://"+b.Addr("openwire"), id)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &jmsClient{in: in, out: bufio.NewReader(out), cmd: cmd}
}

func (c *jmsClient) close() {
	_ = c.in.Close() // it ends then
	_ = c.cmd.Wait()
}

// words are names and values of a line.
type words [][2]string

func (w *words) add(name, value string) { *w = append(*w, [2]string{name, value}) }

func (c *jmsClient) do(t *testing.T, verb string, w words) words {
	t.Helper()
	line := verb
	for _, word := range w {
		line += " " + word[0] + "=" + url.QueryEscape(word[1])
	}
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var out words
	fields := strings.Fields(answer)
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		if value, err = url.QueryUnescape(value); err != nil {
			t.Fatal(err)
		}
		out.add(name, value)
	}
	if fields[0] == "error" {
		t.Fatalf("%s: %s", verb, out[0][1])
	}
	return out
}

func (c *jmsClient) publish(t *testing.T, destination string, m Content) {
	t.Helper()
	w := words{{"destination", destination}, {"form", m.Form}, {"text", m.Text}, {"durable", strconv.FormatBool(m.Durable)}}
	for _, e := range m.Entries {
		w.add("entry", e.Name+"="+string(e.Value))
	}
	for _, e := range m.Properties {
		w.add("property", e.Name+"="+string(e.Value))
	}
	for name, value := range m.Headers {
		w.add("header", name+"="+value)
	}
	c.do(t, "publish", w)
}

type jmsInbox struct {
	client *jmsClient
	id     string
}

func (c *jmsClient) subscribe(t *testing.T, destination, durable string) inbox {
	t.Helper()
	c.inboxs++
	in := &jmsInbox{client: c, id: fmt.Sprint(c.inboxs)}
	c.do(t, "subscribe", words{{"id", in.id}, {"destination", destination}, {"durable", durable}})
	return in
}

func (i *jmsInbox) leave(t *testing.T) {
	t.Helper()
	i.client.do(t, "leave", words{{"id", i.id}})
}

func (i *jmsInbox) receive(t *testing.T) (c Content) {
	t.Helper()
	for _, w := range i.client.do(t, "receive", words{{"id", i.id}}) {
		name, value, _ := strings.Cut(w[1], "=")
		switch w[0] {
		case "form":
			c.Form = w[1]
		case "text":
			c.Text = w[1]
		case "durable":
			c.Durable = w[1] == "true"
		case "entry":
			c.Entries = append(c.Entries, Entry{name, Value(value)})
		case "property":
			c.Properties = append(c.Properties, Entry{name, Value(value)})
		case "header":
			c.put(name, value)
		case "expiration":
			ms, _ := strconv.ParseInt(w[1], 10, 64)
			c.put("expiry", expiryWord(time.Until(time.UnixMilli(ms))))
		}
	}
	return c
}
