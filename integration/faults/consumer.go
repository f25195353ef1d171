package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/entrepot-mq/entrepot/integration/wire"
)

// Consumer receives from a place and acknowledges what it got.
type Consumer struct {
	Place      string // queue, or "sub:NAME" of a durable subscription
	Topic      string // of the durable subscription
	Receipts   bool   // ask for a receipt for each acknowledgement
	Cumulative bool   // ack:client: acknowledge several messages with the last one, not one by one
	Drop       bool   // break the connection off again and again, with messages not acknowledged
	Limit      int    // deliveries in one life, 0 for no limit
}

// several is how many messages a cumulative acknowledgement is for.
const several = 7

// run receives until ctx, the limit or the connection ends.
func (c *Consumer) run(ctx context.Context, l *life, rng *rand.Rand) error {
	for ctx.Err() == nil {
		limit := c.Limit
		if c.Drop {
			limit = 1 + rng.IntN(30)
		}
		err := c.session(ctx, l, limit, 0)
		if err != nil || !c.Drop {
			return brokenOff(err)
		}
	}
	return nil
}

// drain receives until nothing comes for that long.
func (c *Consumer) drain(ctx context.Context, l *life, quiet time.Duration) error {
	err := c.session(ctx, l, 0, quiet)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("drain %s: %w", c.Place, err)
}

// subscribe opens a connection with a subscription.
func (c *Consumer) subscribe(ctx context.Context, l *life) (*connection, error) {
	f := wire.New("SUBSCRIBE", "id", "0", "ack", "client-individual", "receipt", "subscribed",
		"destination", destination(c.Place), "activemq.prefetchSize", "50")
	var headers []string
	if c.Cumulative {
		f.Headers["ack"] = "client"
	}
	if c.Topic != "" {
		f.Headers["destination"] = "/topic/" + c.Topic
		f.Headers["activemq.subscriptionName"] = c.Place
		headers = []string{"client-id", c.Place}
	}
	conn, err := l.open(ctx, headers...)
	if err != nil {
		return nil, err
	}
	if err = conn.Send(f); err == nil {
		_, err = conn.Expect("RECEIPT", patience)
	}
	if err != nil {
		conn.end()
		return nil, err
	}
	return conn, nil
}

// session receives limit messages over one connection, or until nothing comes
// for that long, or for ever.
func (c *Consumer) session(ctx context.Context, l *life, limit int, quiet time.Duration) error {
	conn, err := c.subscribe(ctx, l)
	if err != nil {
		return err
	}
	defer conn.end()
	a := acknowledger{connection: conn, Consumer: c, waiting: map[string][]Value{}}
	for n := 0; limit == 0 || n < limit; {
		f, err := conn.Read(quiet)
		if err != nil {
			return err
		}
		last := limit > 0 && n >= limit/2 && c.Drop // the second half is left to others
		isMessage, err := a.frame(f, !last)
		if err != nil {
			return err
		}
		if isMessage {
			n++
		}
	}
	if c.Drop {
		return conn.Reset()
	}
	return nil
}

// acknowledger is a consumer's connection.
type acknowledger struct {
	*connection
	*Consumer

	acks    int
	open    []Value            // received, to be acknowledged with the next ACK
	waiting map[string][]Value // receipt -> messages
}

// frame takes a MESSAGE or RECEIPT.
func (a *acknowledger) frame(f wire.Frame, acknowledge bool) (isMessage bool, err error) {
	switch f.Command {
	case "MESSAGE":
		v, err := a.readMessage(a.Place, f)
		if err != nil || !acknowledge {
			return true, err
		}
		return true, a.acknowledge(v, f.Headers["ack"])
	case "RECEIPT":
		values, ok := a.waiting[f.Headers["receipt-id"]]
		if !ok {
			return false, fmt.Errorf("%s was not asked for", f)
		}
		delete(a.waiting, f.Headers["receipt-id"])
		for _, v := range values {
			a.note(AckConfirmed, a.Place, v, "")
		}
		return false, nil
	default:
		return false, fmt.Errorf("a consumer of %s got %s %q", a.Place, f, f.Body)
	}
}

func (a *acknowledger) acknowledge(v Value, id string) error {
	a.open = append(a.open, v)
	if a.Cumulative && len(a.open) < several {
		return nil
	}
	f := wire.New("ACK", "id", id)
	if a.Receipts {
		a.acks++
		receipt := strconv.Itoa(a.acks)
		f.Headers["receipt"] = receipt
		a.waiting[receipt] = slices.Clone(a.open)
	}
	for _, v := range a.open {
		a.note(AckInvoked, a.Place, v, "")
	}
	a.open = a.open[:0]
	return a.Send(f)
}
