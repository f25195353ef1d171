package amqp

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/security/scramtest"
	"github.com/entrepot-mq/entrepot/protocols"
)

// sasl writes a SASL frame.
func (w *wire) sasl(p interface{ append([]byte) []byte }) {
	w.t.Helper()
	w.frame(frameSASL, 0, p.append(nil))
}

// offer begins SASL and returns the mechanisms.
func (w *wire) offer() []string {
	w.t.Helper()
	w.header(headerSASL)
	d := w.expect(codeSaslMechanisms)
	var m saslMechanisms
	m.decode(&d)
	return slices.Clone(m.saslServerMechanisms)
}

func (w *wire) saslOutcome() saslOutcome {
	w.t.Helper()
	d := w.expect(codeSaslOutcome)
	var o saslOutcome
	o.decode(&d)
	return o
}

// hangsUp checks that nothing else comes.
func (w *wire) hangsUp() {
	w.t.Helper()
	if n, err := w.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		w.t.Errorf("connection goes on: %d bytes, %v", n, err)
	}
}

// Lines of users files, for scramtest.Password.
const (
	bothWays = "reader:" + scramtest.Bcrypt + "::" + scramtest.Verifier + "\n"
	oneWay   = "other:" + scramtest.Bcrypt + "\n"
)

// scram logs in up to the outcome.
func (w *wire) scram(c *scramtest.Client) saslOutcome {
	w.t.Helper()
	w.offer()
	w.sasl(&saslInit{mechanism: mechanismSCRAM, initialResponse: c.First()})
	d := w.expect(codeSaslChallenge)
	var ask saslChallenge
	ask.decode(&d)
	final, err := c.Final(ask.challenge)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sasl(&saslResponse{response: final})
	return w.saslOutcome()
}

func TestSCRAMProvesBothSidesToEachOther(t *testing.T) {
	r := rigOf(t, nil, bothWays)
	c := &scramtest.Client{Name: "reader", Password: scramtest.Password}
	w := r.wire()
	o := w.scram(c)
	if err := c.Check(o.additionalData); err != nil || o.code != saslOK {
		t.Fatalf("outcome %d: %v", o.code, err)
	}
	w.hello(open{})
	w.producer(0, "open.a")
	for name, c := range map[string]*scramtest.Client{
		"a wrong password": {Name: "reader", Password: "wrong"}, "an unknown user": {Name: "mallory", Password: "x"},
	} {
		w := r.wire()
		if o := w.scram(c); o.code != saslAuth || o.additionalData != nil {
			t.Errorf("%s: outcome %d with %q", name, o.code, o.additionalData)
		}
		w.hangsUp()
	}
}

func TestSASLFramesOutOfOrderEndTheConnection(t *testing.T) {
	r := rigOf(t, nil, bothWays)
	c := &scramtest.Client{Name: "reader", Password: scramtest.Password}
	begin := saslInit{mechanism: mechanismSCRAM, initialResponse: c.First()}
	for name, frames := range map[string][]interface{ append([]byte) []byte }{
		"response first":       {&saslResponse{response: []byte("x")}},
		"init twice":           {&begin, &begin},
		"plain afterwards":     {&begin, &saslInit{mechanism: mechanismPlain, initialResponse: []byte("\x00reader\x00pencil")}},
		"a client's challenge": {&saslChallenge{}},
		"outcome":              {&begin, &saslOutcome{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.wire()
			w.offer()
			for i, f := range frames {
				w.sasl(f)
				if i < len(frames)-1 {
					w.expect(codeSaslChallenge)
				}
			}
			w.hangsUp()
		})
	}
	w := r.wire()
	w.offer()
	w.sasl(&saslInit{mechanism: mechanismSCRAM, initialResponse: []byte("n,,n=reader")})
	if o := w.saslOutcome(); o.code != saslAuth {
		t.Errorf("a malformed message: outcome %d", o.code)
	}
	w.hangsUp()
}

func TestMechanismsAreThoseThatAreOfUse(t *testing.T) {
	for _, test := range []struct {
		name, users, option string
		want                []string
	}{
		{"all can", bothWays, "", []string{mechanismSCRAM, mechanismPlain, mechanismAnonymous}},
		{"some can", bothWays + oneWay, "", []string{mechanismPlain, mechanismAnonymous}},
		{"nobody can", oneWay, "", []string{mechanismPlain, mechanismAnonymous}},
		{"the operator knows", bothWays + oneWay, "scram-sha-256,plain", []string{mechanismSCRAM, mechanismPlain}},
		{"SCRAM only", bothWays, "SCRAM-SHA-256", []string{mechanismSCRAM}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := rigOf(t, protocols.Values{optMechanisms: test.option}, test.users)
			w := r.wire()
			if got := w.offer(); !slices.Equal(got, test.want) {
				t.Errorf("offers %v, want %v", got, test.want)
			}
			w.sasl(&saslInit{mechanism: mechanismPlain, initialResponse: []byte("\x00reader\x00pencil")})
			if got, want := w.saslOutcome().code == saslOK, slices.Contains(test.want, mechanismPlain) && test.users != oneWay; got != want {
				t.Errorf("PLAIN logs in: %v", got)
			}
		})
	}
	r := newRigWith(t, nil, broker.Options{})
	w := r.wire()
	if got := w.offer(); slices.Contains(got, mechanismSCRAM) {
		t.Error("SCRAM is offered by a broker without users")
	}
	w.sasl(&saslInit{mechanism: mechanismSCRAM, initialResponse: []byte("n,,n=a,r=b")})
	if o := w.saslOutcome(); o.code != saslAuth {
		t.Errorf("outcome %d", o.code)
	}
	if err := r.front.CheckOptions(protocols.Values{optMechanisms: "PLAIN,KERBEROS"}); err == nil {
		t.Error("an unknown mechanism was taken")
	}
}
