package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/pflag"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// clientFlags are what pub and sub need to reach a broker.
type clientFlags struct {
	server   string
	login    string
	passcode string
	clientID string
	ca       string
	timeout  time.Duration
	headers  []string
}

func (c *clientFlags) register(f *pflag.FlagSet) {
	f.StringVarP(&c.server, "server", "s", "", "broker: stomp://host:port, stomp+ssl://host:port or host:port\n(default ENTREPOT_SERVER or stomp://127.0.0.1:61613)")
	f.StringVar(&c.login, "login", "", "user (default ENTREPOT_LOGIN)")
	f.StringVar(&c.passcode, "passcode", "", "password; others may see it in the process list: better set ENTREPOT_PASSCODE,\nor ENTREPOT_PASSCODE_FILE to a file that holds it")
	f.StringVar(&c.clientID, "client-id", "", "client id, which durable subscriptions belong to")
	f.StringVar(&c.ca, "ca", "", "`file` of certificates to trust with stomp+ssl (default the system's)")
	f.DurationVar(&c.timeout, "connect-timeout", 10*time.Second, "longest time to connect and log in")
	f.StringArrayVarP(&c.headers, "header", "H", nil, "header of the frame, as `key=value`; give it again for more")
}

// endpoint is where a client connects to.
type endpoint struct {
	address string // host:port
	host    string
	secure  bool
}

// stompScheme is how STOMP's addresses are written.
var stompScheme = scheme{"STOMP, which this command speaks unless told otherwise", []string{"stomp", "tcp"}, []string{"stomp+ssl", "stomp+tls"}, "61613", "61612"}

// passcodeFrom returns the password that the flag, a variable or a file gives.
func (p *program) passcodeFrom(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if file := p.getenv(config.EnvPrefix + "PASSCODE_FILE"); file != "" {
		b, err := os.ReadFile(file)
		return strings.TrimRight(string(b), "\r\n"), err
	}
	return p.getenv(config.EnvPrefix + "PASSCODE"), nil
}

// credentials returns the user and the password that flags, variables or a file
// give.
func (p *program) credentials(c *clientFlags) (login, passcode string, err error) {
	if passcode, err = p.passcodeFrom(c.passcode); err != nil {
		return "", "", fmt.Errorf("read the passcode: %w", err)
	}
	if c.login != "" {
		return c.login, passcode, nil
	}
	return p.getenv(config.EnvPrefix + "LOGIN"), passcode, nil
}

// serverOf returns the address that the flag or the protocol's variable gives.
func (p *program) serverOf(c *clientFlags, variable string) string {
	if c.server != "" {
		return c.server
	}
	return p.getenv(config.EnvPrefix + variable)
}

// dial connects and logs in.
func (p *program) dial(ctx context.Context, c *clientFlags) (*stomp.Conn, error) {
	to, err := stompScheme.parse(p.serverOf(c, "SERVER"))
	if err != nil {
		return nil, err
	}
	options, err := p.connectOptions(c, to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	socket, err := to.open(ctx, c.ca)
	if err != nil {
		return nil, connectError(to, err)
	}
	// The deadline bounds the handshake; after it heart-beats keep watch.
	deadline, _ := ctx.Deadline()
	if err := socket.SetDeadline(deadline); err != nil {
		return nil, err
	}
	conn, err := stomp.ConnectWithContext(ctx, socket, options...)
	if err != nil {
		_ = socket.Close() // nothing was said on it that matters
		return nil, connectError(to, err)
	}
	return conn, socket.SetDeadline(time.Time{})
}

func (p *program) connectOptions(c *clientFlags, to endpoint) ([]func(*stomp.Conn) error, error) {
	login, passcode, err := p.credentials(c)
	if err != nil {
		return nil, err
	}
	options := []func(*stomp.Conn) error{
		stomp.ConnOpt.Host(to.host),
		stomp.ConnOpt.HeartBeat(30*time.Second, 30*time.Second),
		stomp.ConnOpt.Logger(silent{}),
	}
	if login != "" || passcode != "" {
		options = append(options, stomp.ConnOpt.Login(login, passcode))
	}
	if c.clientID != "" {
		options = append(options, stomp.ConnOpt.Header("client-id", c.clientID))
	}
	return options, nil
}

func (e endpoint) open(ctx context.Context, ca string) (net.Conn, error) {
	dialer := &net.Dialer{}
	if !e.secure {
		return dialer.DialContext(ctx, "tcp", e.address)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: e.host}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca %s holds no certificate in PEM form", ca)
		}
	}
	return (&tls.Dialer{NetDialer: dialer, Config: trust}).DialContext(ctx, "tcp", e.address)
}

// connectError says what to do about a failed connection.
func connectError(to endpoint, err error) error {
	if refused, ok := asStompError(err); ok && refused.Frame != nil {
		return fmt.Errorf("the broker at %s refused: %s", to.address, refusal(refused))
	}
	advice := "is it a STOMP port?"
	_, foreign := errors.AsType[tls.RecordHeaderError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "nothing listens there: start a broker with \"entrepot serve\", or name another with --server"
	case foreign:
		advice = "the port doesn't speak TLS: use stomp:// instead of stomp+ssl://"
	case unknownCA:
		advice = "its certificate is signed by nobody known: name the signer's file with --ca"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		advice = "no answer in time: is it a STOMP port, and reachable?"
	}
	return fmt.Errorf("connect to %s: %w; %s", to.address, err, advice)
}

func asStompError(err error) (stomp.Error, bool) {
	if e, ok := errors.AsType[*stomp.Error](err); ok {
		return *e, true
	}
	return errors.AsType[stomp.Error](err)
}

// refusal returns what an ERROR frame says, in its header and body.
func refusal(e stomp.Error) string {
	text := e.Message
	if e.Frame != nil {
		if body := strings.TrimSpace(string(e.Frame.Body)); body != "" && body != text {
			text += ": " + body
		}
	}
	return text
}

// explain puts what the broker said in an ERROR frame into err.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := asStompError(err); ok && e.Frame != nil {
		return fmt.Errorf("%s: the broker refused: %s", doing, refusal(e))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// parseHeaders splits key=value arguments.
func parseHeaders(args []string) ([][2]string, error) {
	var out [][2]string
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok || k == "" {
			return nil, usagef("--header %q is not key=value", a)
		}
		out = append(out, [2]string{k, v})
	}
	return out, nil
}

// header returns an option that adds a header to a frame.
func header(key, value string) func(*frame.Frame) error {
	return func(f *frame.Frame) error {
		f.Header.Set(key, value)
		return nil
	}
}

// stompDestination spells a destination as STOMP does: queue://a is /queue/a.
func stompDestination(s string) string {
	for _, kind := range []string{"queue", "topic"} {
		if name, ok := strings.CutPrefix(s, kind+"://"); ok {
			return "/" + kind + "/" + name
		}
	}
	return s
}

// uriDestination is the other way round: /queue/a is queue://a.
func uriDestination(s string) string {
	for _, kind := range []string{"queue", "topic"} {
		if name, ok := strings.CutPrefix(s, "/"+kind+"/"); ok {
			return kind + "://" + name
		}
	}
	return s
}

// destinationArg takes the destination from --destination or the first
// argument, and returns the other arguments.
func destinationArg(flag string, args []string) (string, []string, error) {
	if flag == "" && len(args) == 0 {
		return "", nil, usagef("the destination is missing: name one, such as /queue/hello or /topic/news")
	}
	if flag == "" {
		flag, args = args[0], args[1:]
	}
	return stompDestination(flag), args, nil
}

// silent is a stomp.Logger that drops everything: what matters comes back as
// an error.
type silent struct{}

func (silent) Debugf(string, ...any)   {}
func (silent) Infof(string, ...any)    {}
func (silent) Warningf(string, ...any) {}
func (silent) Errorf(string, ...any)   {}
func (silent) Debug(string)            {}
func (silent) Info(string)             {}
func (silent) Warning(string)          {}
func (silent) Error(string)            {}
