package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/entrepot-mq/entrepot/integration/wire"
)

// TxProducer sends to several places in one transaction after the other, and
// commits most of them.
type TxProducer struct {
	Name   string
	Places []string
	Pause  time.Duration // between transactions, at most

	count, txs int
}

func (p *TxProducer) run(ctx context.Context, l *life, rng *rand.Rand) error {
	c, err := l.open(ctx)
	if err != nil {
		return brokenOff(err)
	}
	defer c.end()
	for err == nil {
		if err = pause(ctx, rng, p.Pause); err == nil {
			err = p.transaction(c, rng)
		}
	}
	return brokenOff(err)
}

func (p *TxProducer) transaction(c *connection, rng *rand.Rand) error {
	p.txs++
	tx := fmt.Sprintf("%s.%d", p.Name, p.txs)
	if err := c.Put(wire.New("BEGIN", "transaction", tx)); err != nil {
		return err
	}
	for range 1 + rng.IntN(6) {
		p.count++
		v := Value{Producer: p.Name, Count: p.count, Tx: tx}
		place := p.Places[p.count%len(p.Places)]
		c.note(SendInvoked, place, v, tx)
		if err := c.Put(message(place, v, bodySize(rng))); err != nil {
			return err
		}
	}
	return c.finish(tx, rng.IntN(4) > 0)
}

// finish ends a transaction whose answers are awaited here.
func (c *connection) finish(tx string, commit bool) error {
	if err := c.sendEnd(tx, commit); err != nil {
		return err
	}
	if _, err := c.Expect("RECEIPT", patience); err != nil {
		return err
	}
	if commit {
		c.note(CommitConfirmed, "", Value{}, tx)
	}
	return nil
}

// sendEnd sends COMMIT or ABORT with a receipt that is named for the transaction.
func (c *connection) sendEnd(tx string, commit bool) error {
	command, kind := "ABORT", Aborted
	if commit {
		command, kind = "COMMIT", CommitInvoked
	}
	c.note(kind, "", Value{}, tx)
	return c.Send(wire.New(command, "transaction", tx, "receipt", tx))
}

// Transfer moves messages: each is acknowledged and sent on in one
// transaction. Its second place holds each exactly once.
type Transfer struct {
	Name     string
	From, To string

	txs int
}

// moved is a message that waits for its turn or for the end of its transaction.
type moved struct {
	value Value
	ack   string
}

func (t *Transfer) run(ctx context.Context, l *life, rng *rand.Rand) error {
	from := &Consumer{Place: t.From}
	c, err := from.subscribe(ctx, l)
	if err != nil {
		return brokenOff(err)
	}
	defer c.end()
	var waiting []moved
	open, committed := "", false
	for {
		if open == "" && len(waiting) > 0 {
			committed = rng.IntN(8) > 0
			if open, err = t.move(c, waiting[0], committed); err != nil {
				return brokenOff(err)
			}
		}
		f, err := c.Read(0)
		switch {
		case err != nil:
			return brokenOff(err)
		case f.Command == "MESSAGE":
			v, err := c.readMessage(t.From, f)
			if err != nil {
				return err
			}
			waiting = append(waiting, moved{v, f.Headers["ack"]})
		case f.Command == "RECEIPT" && open != "" && f.Headers["receipt-id"] == open:
			if committed { // an aborted one is tried again
				c.note(CommitConfirmed, "", Value{}, open)
				waiting = waiting[1:]
			}
			open = ""
		default:
			return fmt.Errorf("a transfer got %s %q", f, f.Body)
		}
	}
}

// move sends one transaction.
func (t *Transfer) move(c *connection, m moved, commit bool) (tx string, err error) {
	t.txs++
	tx = fmt.Sprintf("%s.%d", t.Name, t.txs)
	to := Value{Producer: t.Name + "/" + m.value.Producer, Count: m.value.Count, Tx: tx}
	if err := c.Put(wire.New("BEGIN", "transaction", tx)); err != nil {
		return "", err
	}
	c.note(AckInvoked, t.From, m.value, tx)
	if err := c.Put(wire.New("ACK", "id", m.ack, "transaction", tx)); err != nil {
		return "", err
	}
	c.note(SendInvoked, t.To, to, tx)
	if err := c.Put(message(t.To, to, 100)); err != nil {
		return "", err
	}
	return tx, c.sendEnd(tx, commit)
}
