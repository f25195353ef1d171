package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHandshake bounds what is read before the broker accepted the client.
const maxHandshake = 64 << 10

// stompProtocol is STOMP 1.1 and 1.2 over a byte stream.
type stompProtocol struct{ accept string }

func (stompProtocol) defaultPort() string { return "61613" }

func (stompProtocol) destination(name string, topic bool) string {
	if topic {
		return "/topic/" + name
	}
	return "/queue/" + name
}

func (p stompProtocol) open(rw io.ReadWriter, c credentials) (codec, error) {
	frame, err := p.connectFrame(c)
	if err != nil {
		return nil, err
	}
	if _, err := rw.Write(frame); err != nil {
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	return p.readConnected(rw)
}

// connectFrame escapes nothing (STOMP 1.2, value encoding), so some credentials
// cannot be said.
func (p stompProtocol) connectFrame(c credentials) ([]byte, error) {
	if strings.ContainsAny(c.virtualHost+c.login+c.passcode, "\r\n\x00") {
		return nil, errors.New("STOMP cannot carry a host, login or passcode with a line break or NUL")
	}
	// Heart-beats would be noise in the measurement and wake idle connections.
	frame := "CONNECT\naccept-version:" + p.accept + "\nhost:" + c.virtualHost + "\nheart-beat:0,0\n"
	if c.login != "" {
		frame += "login:" + c.login + "\npasscode:" + c.passcode + "\n"
	}
	return []byte(frame + "\n\x00"), nil
}

// readConnected waits for CONNECTED. Nothing may follow it: the broker has not
// been asked for anything yet.
func (p stompProtocol) readConnected(r io.Reader) (codec, error) {
	buf := make([]byte, 0, 1024)
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= maxHandshake {
				return nil, errors.New("the answer to CONNECT has no end: is this a STOMP port?")
			}
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		head, body, size, ferr := splitStomp(buf)
		switch {
		case ferr != nil:
			return nil, fmt.Errorf("answer to CONNECT: %w: is this a STOMP port?", ferr)
		case size > 0:
			return stompAccepted(head, body)
		case err != nil:
			return nil, fmt.Errorf("wait for CONNECTED: %w", err)
		}
	}
}

func stompAccepted(head, body []byte) (codec, error) {
	command, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	switch string(bytes.TrimRight(command, "\r")) {
	case "CONNECTED":
		version := stompHeader(head, "version")
		if version != "1.1" && version != "1.2" {
			return nil, fmt.Errorf("the broker speaks STOMP %q, not 1.1 or 1.2", version)
		}
		return &stompCodec{v12: version == "1.2", server: stompHeader(head, "server")}, nil
	case "ERROR":
		return nil, &refusal{words: stompWords(head, body)}
	}
	return nil, fmt.Errorf("the broker answered CONNECT with %.20q", command)
}

// refusal is the broker saying no, in its own words.
type refusal struct{ words string }

func (r *refusal) Error() string { return "the broker refused: " + r.words }

// stompCodec is one connection's. It holds nothing that changes.
type stompCodec struct {
	v12    bool
	server string
}

func (c *stompCodec) peer() string { return c.server }

func (c *stompCodec) publication(p publication, n int) (*frames, error) {
	if p.size < stampSize {
		return nil, fmt.Errorf("a body of %d bytes cannot hold the %d-byte stamp", p.size, stampSize)
	}
	frame := appendStompHeader([]byte("SEND"), "destination", p.destination)
	if p.persistent {
		frame = append(frame, "\npersistent:true"...)
	}
	for _, h := range p.headers {
		frame = appendStompHeader(frame, h.name, h.value)
	}
	confirmAt := 0
	if p.confirm {
		frame = append(frame, "\nreceipt:"...)
		confirmAt = len(frame)
		frame = append(frame, make([]byte, stampSize)...)
	}
	frame = append(frame, "\ncontent-length:"...)
	frame = strconv.AppendInt(frame, int64(p.size), 10)
	frame = append(frame, "\n\n"...)
	bodyAt := len(frame)
	frame = append(frame, filler(p.size)...)
	frame = append(frame, 0)
	return newFrames(frame, bodyAt, confirmAt, n), nil
}

// filler is a body that neither compresses to nothing nor needs escaping.
func filler(size int) []byte {
	b := make([]byte, size)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = stampDigits[x&63]
	}
	return b
}

// The two control requests of a connection. Receipts of messages are stamps,
// which are longer than both.
const (
	stompSubscribed = "sub"
	stompGoodbye    = "bye"
)

func (c *stompCodec) appendSubscribe(dst []byte, s subscription) []byte {
	dst = appendStompHeader(append(dst, "SUBSCRIBE\nid:0"...), "destination", s.destination)
	dst = appendStompHeader(dst, "ack", string(s.ack))
	if s.prefetch > 0 {
		// ActiveMQ's and RabbitMQ's name for the same thing: each ignores the
		// other's.
		n := strconv.Itoa(s.prefetch)
		dst = appendStompHeader(dst, "activemq.prefetchSize", n)
		dst = appendStompHeader(dst, "prefetch-count", n)
	}
	for _, h := range s.headers {
		dst = appendStompHeader(dst, h.name, h.value)
	}
	return append(dst, "\nreceipt:"+stompSubscribed+"\n\n\x00"...)
}

// appendAck echoes the delivery's name as it came: what was escaped there is
// escaped the same way here.
func (c *stompCodec) appendAck(dst []byte, e *event) []byte {
	if c.v12 {
		dst = append(dst, "ACK\nid:"...)
	} else {
		dst = append(dst, "ACK\nsubscription:0\nmessage-id:"...)
	}
	dst = append(dst, e.ack...)
	return append(dst, "\n\n\x00"...)
}

func (c *stompCodec) appendDisconnect(dst []byte) []byte {
	return append(dst, "DISCONNECT\nreceipt:"+stompGoodbye+"\n\n\x00"...)
}

// appendStompHeader starts a new line, so that a frame is built as its command
// and then headers.
func appendStompHeader(dst []byte, name, value string) []byte {
	dst = append(dst, '\n')
	dst = append(dst, stompEscaper.Replace(name)...)
	dst = append(dst, ':')
	return append(dst, stompEscaper.Replace(value)...)
}

var (
	stompEscaper   = strings.NewReplacer("\\", `\\`, "\r", `\r`, "\n", `\n`, ":", `\c`)
	stompUnescaper = strings.NewReplacer(`\\`, "\\", `\r`, "\r", `\n`, "\n", `\c`, ":")
)
