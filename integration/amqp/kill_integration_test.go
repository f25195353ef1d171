//go:build integration

package amqp

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

const (
	kills    = 8
	lifetime = 700 * time.Millisecond
)

// account is what clients saw over all lives of the broker.
type account struct {
	mu           sync.Mutex
	confirmed    map[string]bool // accepted by the broker
	received     map[string]int
	acknowledged map[string]bool // settled by the broker: never again
	again        []string        // received after that
	outcome      map[int]string  // of transactions: begun, committed, aborted
}

func newAccount() *account {
	return &account{
		confirmed: map[string]bool{}, received: map[string]int{}, acknowledged: map[string]bool{}, outcome: map[int]string{},
	}
}

func (a *account) got(body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.received[body]++
	if a.acknowledged[body] {
		a.again = append(a.again, body)
	}
}

// session connects a client, nil if the broker has gone.
func session(ctx context.Context, address string) (*amqp.Session, func()) {
	c, err := amqp.Dial(ctx, "amqp://"+address, nil)
	if err != nil {
		return nil, nil
	}
	s, err := c.NewSession(ctx, nil)
	if err != nil {
		return nil, nil
	}
	return s, func() { _ = c.Close() }
}

// produce sends durable messages until the broker ends.
func (a *account) produce(ctx context.Context, address, name string) {
	s, end := session(ctx, address)
	if s == nil {
		return
	}
	defer end()
	out, err := s.NewSender(ctx, "kill", nil)
	for i := 0; err == nil; i++ {
		body := fmt.Sprint(name, ".", i)
		m := amqp.NewMessage([]byte(body))
		m.Header = &amqp.MessageHeader{Durable: true}
		if err = out.Send(ctx, m, nil); err == nil {
			a.mu.Lock()
			a.confirmed[body] = true
			a.mu.Unlock()
		}
	}
}

// consume receives, and acknowledges two of three messages, each until the
// broker has settled it; the third stays unsettled.
func (a *account) consume(ctx context.Context, address string, all bool) {
	s, end := session(ctx, address)
	if s == nil {
		return
	}
	defer end()
	in, err := s.NewReceiver(ctx, "kill", &amqp.ReceiverOptions{Credit: 50, SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
	for i := 0; err == nil; i++ {
		quiet, cancel := context.WithTimeout(ctx, 2*time.Second)
		var m *amqp.Message
		m, err = in.Receive(quiet, nil)
		cancel()
		if err != nil {
			return
		}
		body := string(m.GetData())
		a.got(body)
		if !all && i%3 == 2 {
			continue
		}
		if err = in.AcceptMessage(ctx, m); err == nil {
			a.mu.Lock()
			a.acknowledged[body] = true
			a.mu.Unlock()
		}
	}
}

// transact runs the transactional client and reads what it says.
func (a *account) transact(ctx context.Context, t *testing.T, python, address string, first int) {
	t.Helper()
	cmd := exec.CommandContext(ctx, python, filepath.Join("py", "transact.py"), address, "kill.tx", strconv.Itoa(first))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, number, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.Atoi(number); err == nil {
			a.mu.Lock()
			a.outcome[n] = what
			a.mu.Unlock()
		}
	}
	_ = cmd.Wait() // it ends by an error when the broker does
}

// check finds what was lost, came back, or came in part.
func (a *account) check(t *testing.T, transacted []string) {
	t.Helper()
	if len(a.again) > 0 {
		t.Errorf("%d messages came again after they were settled: %v", len(a.again), a.again[:min(5, len(a.again))])
	}
	lost := 0
	for body := range a.confirmed {
		if a.received[body] == 0 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d confirmed messages are lost", lost, len(a.confirmed))
	}
	parts := map[int]int{}
	seen := map[string]bool{}
	for _, body := range transacted {
		if seen[body] {
			t.Errorf("message %s of a transaction came twice", body)
		}
		seen[body] = true
		number, _, _ := strings.Cut(body, ".")
		n, err := strconv.Atoi(number)
		if err != nil || a.outcome[n] == "" {
			t.Errorf("message %q was never sent", body)
		}
		parts[n]++
	}
	counts := map[string]int{}
	for n, outcome := range a.outcome {
		counts[outcome]++
		got := parts[n]
		if outcome == "committed" && got != 3 || outcome == "aborted" && got != 0 || got != 0 && got != 3 {
			t.Errorf("transaction %d was %s, and %d of its 3 messages are there", n, outcome, got)
		}
	}
	t.Logf("%d confirmed, %d settled, lost %d, again %d; transactions %v", len(a.confirmed), len(a.acknowledged), lost, len(a.again), counts)
	if len(a.confirmed) < 100 || counts["committed"] < 10 {
		t.Errorf("too little happened to show anything")
	}
}

// What clients with unsettled deliveries and open transactions were promised
// holds when the broker is killed again and again.
func TestKilledBrokerLosesNothingAndCommitsAllOrNothing(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	a, dir := newAccount(), t.TempDir()
	start := func() *harness.Broker {
		b, err := harness.Start(t.Context(), harness.Options{Program: program, Dir: dir, Listen: []string{"amqp://127.0.0.1:0"}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for round := range kills {
		b := start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		address := b.Addr("amqp")
		var clients sync.WaitGroup
		for i := range 2 {
			clients.Go(func() { a.produce(ctx, address, fmt.Sprint(round, "-", i)) })
			clients.Go(func() { a.consume(ctx, address, false) })
		}
		clients.Go(func() { a.transact(ctx, t, python, address, 100000*(round+1)) })
		time.Sleep(lifetime + time.Duration(round)*100*time.Millisecond) // how long it lives is the test's input
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		clients.Wait()
		cancel()
	}
	b := start()
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a.consume(ctx, b.Addr("amqp"), true)
	a.check(t, drain(ctx, t, b.Addr("amqp")))
}

// drain returns what waits in the transactions' queue.
func drain(ctx context.Context, t *testing.T, address string) (bodies []string) {
	t.Helper()
	s, end := session(ctx, address)
	if s == nil {
		t.Fatal("no connection")
	}
	defer end()
	in, err := s.NewReceiver(ctx, "kill.tx", &amqp.ReceiverOptions{Credit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, 2*time.Second)
		m, err := in.Receive(quiet, nil)
		cancel()
		if err != nil {
			return bodies
		}
		text, _ := m.Value.(string)
		bodies = append(bodies, text)
		if err := in.AcceptMessage(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
}
