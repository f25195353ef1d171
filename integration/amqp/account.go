package amqp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/go-amqp"
)

// The queues of an account's clients, and the last message in each.
const (
	plainQueue    = "account.plain"
	transactQueue = "account.transactions"
	theEnd        = "the end"
)

// Account is what clients of a broker saw that ends and comes back while they
// use it: producers, consumers that leave deliveries unsettled, and
// transactions. Its methods may be called from any goroutine; clients work until
// their connection ends, and are started again by the caller.
type Account struct {
	mu        sync.Mutex
	clients   int
	confirmed map[string]bool // accepted by the broker
	received  map[string]int
	settled   map[string]bool // by the broker: never again
	again     []string        // received after that
	outcome   map[int]string  // of transactions: begun, committed, aborted
	committed map[string]int  // messages of transactions that came
}

// NewAccount returns one in which nothing has happened.
func NewAccount() *Account {
	return &Account{
		confirmed: map[string]bool{}, received: map[string]int{}, settled: map[string]bool{}, outcome: map[int]string{},
		committed: map[string]int{},
	}
}

// Progress counts messages that were confirmed and settled, and transactions
// that were committed.
func (a *Account) Progress() (confirmed, settled, committed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, what := range a.outcome {
		if what == "committed" {
			committed++
		}
	}
	return len(a.confirmed), len(a.settled), committed
}

// life numbers a client: no two send the same.
func (a *Account) life() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients++
	return a.clients
}

// dial connects a client and begins a session.
func dial(ctx context.Context, address string) (*amqp.Session, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := amqp.Dial(ctx, "amqp://"+address, nil)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.NewSession(ctx, nil)
	if err != nil {
		_ = c.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return s, func() { _ = c.Close() }, nil
}

func durable(body string) *amqp.Message {
	m := amqp.NewMessage([]byte(body))
	m.Header = &amqp.MessageHeader{Durable: true}
	return m
}

// Produce sends durable messages until the connection ends.
func (a *Account) Produce(ctx context.Context, address string) {
	s, end, err := dial(ctx, address)
	if err != nil {
		return
	}
	defer end()
	out, err := s.NewSender(ctx, plainQueue, nil)
	for i, life := 0, a.life(); err == nil; i++ {
		body := fmt.Sprint(life, ".", i)
		if err = out.Send(ctx, durable(body), nil); err == nil {
			a.mu.Lock()
			a.confirmed[body] = true
			a.mu.Unlock()
		}
	}
}

// maxUnsettled are the deliveries that a consumer leaves unsettled, of twice
// the credit.
const maxUnsettled = 25

// Consume receives until the connection ends, and settles two of three
// messages, each until the broker has said that it is; the third stays
// unsettled until there are many of those.
func (a *Account) Consume(ctx context.Context, address string) {
	s, end, err := dial(ctx, address)
	if err != nil {
		return
	}
	defer end()
	in, err := s.NewReceiver(ctx, plainQueue, &amqp.ReceiverOptions{Credit: 2 * maxUnsettled, SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
	var left []*amqp.Message
	for i := 0; err == nil; i++ {
		var m *amqp.Message
		if m, err = in.Receive(ctx, nil); err != nil {
			return
		}
		a.got(string(m.GetData()))
		if i%3 == 2 {
			if left = append(left, m); len(left) <= maxUnsettled {
				continue
			}
			m, left = left[0], left[1:]
		}
		err = a.settle(ctx, in, m)
	}
}

func (a *Account) settle(ctx context.Context, in *amqp.Receiver, m *amqp.Message) error {
	if err := in.AcceptMessage(ctx, m); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settled[string(m.GetData())] = true
	return nil
}

func (a *Account) got(body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.received[body]++
	if a.settled[body] {
		a.again = append(a.again, body)
	}
}

// maxTransactions are those of one client's life.
const maxTransactions = 1_000_000

// Transact runs py/transact.py, which is at script, until its connection ends.
func (a *Account) Transact(ctx context.Context, python, script, address string) error {
	cmd := exec.CommandContext(ctx, python, script, address, transactQueue, strconv.Itoa(maxTransactions*a.life()))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
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
	return nil
}

// Finish receives all that is left. The other clients must have ended.
func (a *Account) Finish(ctx context.Context, address string) error {
	s, end, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer end()
	err = drain(ctx, s, plainQueue, func(m *amqp.Message) { a.got(string(m.GetData())) })
	return errors.Join(err, drain(ctx, s, transactQueue, func(m *amqp.Message) {
		text, _ := m.Value.(string)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.committed[text]++
	}))
}

// drain receives and settles what is in a queue, in which nobody else sends or
// receives: it ends with a message of its own.
func drain(ctx context.Context, s *amqp.Session, queue string, take func(*amqp.Message)) error {
	out, err := s.NewSender(ctx, queue, nil)
	if err != nil {
		return err
	}
	if err := out.Send(ctx, durable(theEnd), nil); err != nil {
		return err
	}
	in, err := s.NewReceiver(ctx, queue, &amqp.ReceiverOptions{Credit: 100})
	for err == nil {
		var m *amqp.Message
		if m, err = in.Receive(ctx, nil); err != nil {
			break
		}
		err = in.AcceptMessage(ctx, m)
		if string(m.GetData()) == theEnd {
			return err
		}
		take(m)
	}
	return fmt.Errorf("drain %s: %w", queue, err)
}

// Verdict sums up, and says what was lost, came back, or came in part.
func (a *Account) Verdict() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var wrong []error
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(a.again) > 0 {
		problem("%d messages came again after they were settled: %v", len(a.again), a.again[:min(5, len(a.again))])
	}
	lost := 0
	for body := range a.confirmed {
		if a.received[body] == 0 {
			lost++
		}
	}
	if lost > 0 {
		problem("%d of %d confirmed messages are lost", lost, len(a.confirmed))
	}
	parts := map[int]int{}
	for body, times := range a.committed {
		if times > 1 {
			problem("message %s of a transaction came %d times", body, times)
		}
		number, _, _ := strings.Cut(body, ".")
		n, err := strconv.Atoi(number)
		if err != nil || a.outcome[n] == "" {
			problem("message %q was never sent", body)
		}
		parts[n]++
	}
	counts := map[string]int{}
	for n, outcome := range a.outcome {
		counts[outcome]++
		got := parts[n]
		if outcome == "committed" && got != 3 || outcome == "aborted" && got != 0 || got != 0 && got != 3 {
			problem("transaction %d was %s, and %d of its 3 messages are there", n, outcome, got)
		}
	}
	return fmt.Sprintf("%d confirmed, %d settled, lost %d, again %d; transactions %v",
		len(a.confirmed), len(a.settled), lost, len(a.again), counts), errors.Join(wrong...)
}
