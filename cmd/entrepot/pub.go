package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxBody bounds what pub reads from a file or stdin.
const maxBody = 256 << 20

type pubFlags struct {
	clientFlags
	mqttFlags
	amqpFlags
	openwireFlags
	retain      bool
	destination string
	file        string
	lines       bool
	count       int
	persistent  bool
	receipt     bool
	binary      bool
	contentType string
	quiet       bool
}

func (p *program) pubCommand() *cobra.Command {
	var f pubFlags
	cmd := &cobra.Command{
		Use:   "pub DESTINATION [BODY...] [flags]",
		Short: "Send messages",
		Long: `Sends each BODY as a message, or what a file or stdin holds. A destination is
/queue/NAME or /topic/NAME. A body that is text goes without content-length, so
that JMS clients get a text message; --binary makes it bytes. The command ends
when the broker has taken everything; with --receipt it waits for the broker's
confirmation of each message, which with --persistent means that it is on disk.`,
		Example: `  entrepot pub /queue/hello "Hello"
  entrepot pub /queue/orders --persistent --receipt --file order.json --content-type application/json
  entrepot pub /topic/news one two three -H priority=9
  tail -f app.log | entrepot pub /topic/log --lines
  entrepot pub --amqp queue://orders "Hello" --persistent -H colour=red
  entrepot pub --openwire queue://orders "Hello" -s "failover:(tcp://a:61616,tcp://b:61616)"
  entrepot pub --mqtt sensors/cellar/temperature 17.5 --qos 2 --retain
  entrepot pub /queue/load x --count 1000`,
		Args: arguments(-1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.pub(cmd.Context(), &f, args) },
	}
	flags := cmd.Flags()
	f.clientFlags.register(flags)
	f.mqttFlags.register(flags)
	f.amqpFlags.register(flags)
	f.openwireFlags.register(flags)
	flags.BoolVar(&f.retain, "retain", false, "let the topic remember the message (with --mqtt)")
	flags.StringVarP(&f.destination, "destination", "d", "", "destination, instead of the first argument")
	flags.StringVarP(&f.file, "file", "f", "", "send what the file holds; - is stdin")
	flags.BoolVar(&f.lines, "lines", false, "send each line of the file or stdin as a message")
	flags.IntVarP(&f.count, "count", "n", 1, "send everything so many times")
	flags.BoolVar(&f.persistent, "persistent", false, "let the messages survive a restart of the broker")
	flags.BoolVar(&f.receipt, "receipt", false, "wait for the broker's confirmation of each message")
	flags.BoolVar(&f.binary, "binary", false, "send bytes even if the body is text")
	flags.StringVar(&f.contentType, "content-type", "", "media type of the body")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "don't say how many were sent")
	return cmd
}

func (p *program) pub(ctx context.Context, f *pubFlags, args []string) (err error) {
	destination, bodies, err := destinationArg(f.destination, args)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.count < 1 {
		return usagef("--count %d sends nothing: give 1 or more", f.count)
	}
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return err
	}
	source, closeSource, err := p.bodies(f, bodies)
	if err != nil {
		return err
	}
	defer closeSource()
	if f.mqtt {
		return p.pubMQTT(f, destination, source)
	}
	if f.amqp {
		return p.pubAMQP(ctx, f, uriDestination(destination), headers, source)
	}
	if f.openwire {
		return p.pubOpenWire(ctx, f, destination, headers, source)
	}
	if f.persistent {
		headers = append(headers, [2]string{"persistent", "true"})
	}
	conn, err := p.dial(ctx, &f.clientFlags)
	if err != nil {
		return err
	}
	sent, err := sendAll(conn, f, destination, headers, source)
	if err != nil {
		_ = conn.MustDisconnect() // the first error is the one to tell
		return explain("send to "+destination, err)
	}
	// The broker answers DISCONNECT when it has taken all that was sent before.
	if err := conn.Disconnect(); err != nil {
		return explain("wait until the broker has taken the messages", err)
	}
	if !f.quiet {
		fmt.Fprintf(p.err, "sent %d to %s\n", sent, destination)
	}
	return nil
}

func sendAll(conn *stomp.Conn, f *pubFlags, destination string, headers [][2]string, source func(func([]byte) error) error) (sent int, err error) {
	err = source(func(body []byte) error {
		var options []func(*frame.Frame) error
		text := !f.binary && utf8.Valid(body) && !bytes.ContainsRune(body, 0)
		if text {
			options = append(options, stomp.SendOpt.NoContentLength)
		}
		for _, h := range headers {
			options = append(options, header(h[0], h[1]))
		}
		if f.receipt {
			options = append(options, stomp.SendOpt.Receipt)
		}
		if err := conn.Send(destination, f.contentType, body, options...); err != nil {
			return err
		}
		sent++
		return nil
	})
	return sent, err
}

// bodies returns a function that hands every body to send, and one that frees
// what it reads from.
func (p *program) bodies(f *pubFlags, args []string) (source func(send func([]byte) error) error, closeSource func(), err error) {
	none := func() {}
	if len(args) > 0 {
		if f.file != "" {
			return nil, none, usagef("a BODY and --file exclude each other")
		}
		return repeat(f.count, args), none, nil
	}
	in, closeSource := p.in, none
	switch {
	case f.file == "" && isTerminal(p.in):
		return nil, none, usagef("the body is missing: give it as an argument, with --file, or on stdin")
	case f.file != "" && f.file != "-":
		file, err := os.Open(f.file)
		if err != nil {
			return nil, none, err
		}
		in, closeSource = file, func() { _ = file.Close() } // only read
	}
	if f.lines {
		if f.count != 1 {
			closeSource()
			return nil, none, usagef("--lines and --count exclude each other")
		}
		return lines(in), closeSource, nil
	}
	b, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err != nil {
		closeSource()
		return nil, none, err
	}
	if len(b) > maxBody {
		closeSource()
		return nil, none, errors.New("the body is larger than " + strconv.Itoa(maxBody>>20) + " MiB, which no broker here takes")
	}
	return repeat(f.count, []string{string(b)}), closeSource, nil
}

func repeat(count int, bodies []string) func(func([]byte) error) error {
	return func(send func([]byte) error) error {
		for range count {
			for _, b := range bodies {
				if err := send([]byte(b)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func lines(in io.Reader) func(func([]byte) error) error {
	return func(send func([]byte) error) error {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxBody)
		for scanner.Scan() {
			// The connection sends on its own goroutine: it needs its own copy.
			if err := send(bytes.Clone(scanner.Bytes())); err != nil {
				return err
			}
		}
		return scanner.Err()
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
