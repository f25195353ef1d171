package bench

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

const (
	fakeOutbox  = 1 << 20  // bytes waiting for one client before publishers wait
	fakeWaiting = 64 << 20 // bytes in queues without a consumer
	fakeFrame   = 1 << 20
)

// fakeBroker is the least of a STOMP broker that the generator can be pointed
// at: queues hand messages round, topics copy them. It parses frames its own
// way, so that the generator's parser is not tested against itself.
type fakeBroker struct {
	listener net.Listener
	version  string
	refuse   string               // answers CONNECT with this ERROR
	copies   func(n int) int      // how often message n is delivered, nil = once
	onSend   func(headers []byte) // sees every SEND, nil = nobody
	reorder  bool                 // queues hand over the newest waiting message first

	mu      sync.Mutex
	routes  map[string]*fakeRoute
	clients map[*fakeClient]bool
	sent    int
	acked   int
	waiting int
	serving sync.WaitGroup
}

type fakeRoute struct {
	name    string
	topic   bool
	subs    []*fakeClient
	turn    int
	ids     int
	waiting [][]byte
}

type fakeClient struct {
	broker *fakeBroker
	conn   net.Conn
	mu     sync.Mutex
	cond   sync.Cond
	out    []byte
	closed bool
}

func startFake(tb testing.TB, set func(*fakeBroker)) *fakeBroker {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	b := newFake(ln)
	if set != nil {
		set(b)
	}
	b.serving.Go(b.accept)
	tb.Cleanup(b.close)
	return b
}

func newFake(ln net.Listener) *fakeBroker {
	return &fakeBroker{listener: ln, version: "1.2", routes: map[string]*fakeRoute{}, clients: map[*fakeClient]bool{}}
}

// serveFake is a broker process: it ends with SIGTERM.
func serveFake(address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	newFake(ln).accept()
}

func (b *fakeBroker) address() string { return b.listener.Addr().String() }

func (b *fakeBroker) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		c := &fakeClient{broker: b, conn: conn}
		c.cond.L = &c.mu
		b.mu.Lock()
		b.clients[c] = true
		b.mu.Unlock()
		b.serving.Go(c.read)
		b.serving.Go(c.write)
	}
}

func (b *fakeBroker) close() {
	b.listener.Close()
	b.mu.Lock()
	for c := range b.clients {
		c.conn.Close()
	}
	b.mu.Unlock()
	b.serving.Wait()
}

// drop closes all connections, as a broker that dies does.
func (b *fakeBroker) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		c.conn.Close()
	}
}

func (b *fakeBroker) acks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acked
}

func (c *fakeClient) read() {
	defer c.end()
	buf := make([]byte, fakeFrame)
	end := 0
	for {
		n, err := c.conn.Read(buf[end:])
		if err != nil {
			return
		}
		end += n
		used, touched, ok := c.frames(buf[:end])
		end = copy(buf, buf[used:end])
		for s := range touched {
			s.flush(s != c)
		}
		if !ok || end == len(buf) {
			return
		}
	}
}

func (c *fakeClient) end() {
	b := c.broker
	b.mu.Lock()
	delete(b.clients, c)
	for _, r := range b.routes {
		for i, s := range r.subs {
			if s == c {
				r.subs = append(r.subs[:i:i], r.subs[i+1:]...)
				break
			}
		}
	}
	b.mu.Unlock()
	c.mu.Lock()
	c.closed = true
	c.cond.Broadcast()
	c.mu.Unlock()
}

// flush wakes the writer and, for other clients' outboxes, waits while they
// are full.
func (c *fakeClient) flush(wait bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cond.Broadcast()
	for wait && len(c.out) > fakeOutbox && !c.closed {
		c.cond.Wait()
	}
}

func (c *fakeClient) write() {
	defer c.conn.Close()
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.closed {
			c.cond.Wait()
		}
		batch, closed := c.out, c.closed
		c.out = spare[:0]
		c.cond.Broadcast()
		c.mu.Unlock()
		if len(batch) > 0 {
			if _, err := c.conn.Write(batch); err != nil {
				return
			}
		}
		if closed {
			return
		}
		spare = batch
	}
}

// frames carries out the whole frames in buf and returns whose outboxes it
// wrote to.
func (c *fakeClient) frames(buf []byte) (int, map[*fakeClient]bool, bool) {
	touched := map[*fakeClient]bool{c: true}
	b := c.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	at := 0
	for at < len(buf) {
		if buf[at] == '\n' {
			at++
			continue
		}
		head := bytes.Index(buf[at:], []byte("\n\n"))
		if head < 0 {
			break
		}
		headers := buf[at : at+head+1]
		bodyAt := at + head + 2
		size := bytes.IndexByte(buf[bodyAt:], 0)
		if v := fakeHeader(headers, "content-length"); v != nil {
			size, _ = strconv.Atoi(string(v))
		}
		if size < 0 || bodyAt+size >= len(buf) {
			break
		}
		if !c.frame(headers, buf[bodyAt:bodyAt+size], touched) {
			return at, touched, false
		}
		at = bodyAt + size + 1
	}
	return at, touched, true
}

func fakeHeader(headers []byte, name string) []byte {
	i := bytes.Index(headers, []byte("\n"+name+":"))
	if i < 0 {
		return nil
	}
	v := headers[i+len(name)+2:]
	return v[:bytes.IndexByte(v, '\n')]
}

func (c *fakeClient) frame(headers, body []byte, touched map[*fakeClient]bool) bool {
	b := c.broker
	switch headers[0] {
	case 'C':
		if b.refuse != "" {
			c.append("ERROR\nmessage:" + b.refuse + "\n\n\x00")
			return false
		}
		c.append("CONNECTED\nversion:" + b.version + "\nserver:fake/1\\c0\n\n\x00\n")
	case 'S':
		if bytes.HasPrefix(headers, []byte("SUBSCRIBE")) {
			b.subscribe(c, string(fakeHeader(headers, "destination")), touched)
		} else if !b.send(headers, body, touched) {
			c.append("ERROR\nmessage:queue is full\n\n\x00")
			return false
		}
	case 'A':
		b.acked++
	}
	if r := fakeHeader(headers, "receipt"); r != nil {
		c.mu.Lock()
		c.out = append(append(append(c.out, "RECEIPT\nreceipt-id:"...), r...), "\n\n\x00\n"...)
		c.mu.Unlock()
	}
	return headers[0] != 'D'
}

func (c *fakeClient) append(s string) {
	c.mu.Lock()
	c.out = append(c.out, s...)
	c.mu.Unlock()
}

func (b *fakeBroker) route(name []byte) *fakeRoute {
	r := b.routes[string(name)]
	if r == nil {
		r = &fakeRoute{name: string(name), topic: bytes.HasPrefix(name, []byte("/topic/"))}
		b.routes[r.name] = r
	}
	return r
}

func (b *fakeBroker) subscribe(c *fakeClient, name string, touched map[*fakeClient]bool) {
	r := b.route([]byte(name))
	r.subs = append(r.subs, c)
	for len(r.waiting) > 0 {
		i := 0
		if b.reorder {
			i = len(r.waiting) - 1
		}
		body := r.waiting[i]
		r.waiting = append(r.waiting[:i:i], r.waiting[i+1:]...)
		b.waiting -= len(body)
		r.deliver(body, touched)
	}
}

func (b *fakeBroker) send(headers, body []byte, touched map[*fakeClient]bool) bool {
	if b.onSend != nil {
		b.onSend(headers)
	}
	copies := 1
	if b.copies != nil {
		copies = b.copies(b.sent)
	}
	b.sent++
	r := b.route(fakeHeader(headers, "destination"))
	for range copies {
		if len(r.subs) > 0 {
			r.deliver(body, touched)
		} else if !r.topic {
			if b.waiting += len(body); b.waiting > fakeWaiting {
				return false
			}
			r.waiting = append(r.waiting, bytes.Clone(body))
		}
	}
	return true
}

func (r *fakeRoute) deliver(body []byte, touched map[*fakeClient]bool) {
	if r.topic {
		for _, s := range r.subs {
			s.message(r, body, touched)
		}
		return
	}
	s := r.subs[r.turn%len(r.subs)]
	r.turn++
	s.message(r, body, touched)
}

func (c *fakeClient) message(r *fakeRoute, body []byte, touched map[*fakeClient]bool) {
	r.ids++
	c.mu.Lock()
	c.out = append(c.out, "MESSAGE\nsubscription:0\ndestination:"...)
	c.out = append(c.out, r.name...)
	c.out = append(c.out, "\nmessage-id:ID\\c"...)
	c.out = strconv.AppendInt(c.out, int64(r.ids), 10)
	c.out = append(c.out, "\nack:a\\c"...)
	c.out = strconv.AppendInt(c.out, int64(r.ids), 10)
	c.out = append(c.out, "\ncontent-length:"...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, "\n\n"...)
	c.out = append(c.out, body...)
	c.out = append(c.out, "\x00\n"...)
	c.mu.Unlock()
	if !touched[c] { // reading a map is cheaper than writing it
		touched[c] = true
	}
}
