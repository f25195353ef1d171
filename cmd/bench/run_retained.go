package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	retainedTopics  = 10_000 // without --messages
	retainedFetches = 50     // so that there is CPU to be measured
)

// errFetched ends the reading of what a topic filter was to bring.
var errFetched = errors.New("all has come")

// runRetained has topics remember a message each, and then fetches all of them
// by a wildcard, again and again.
func runRetained(ctx context.Context, s *settings, p *progress) (*result, error) {
	proto, ok := s.wire.(mqttProtocol)
	if !ok || proto.qos > 0 {
		return nil, errors.New("retained is for --protocol mqtt and mqtt5")
	}
	run := retainedRun{s: s, dialer: s.dialer(newClock()), proto: proto, topics: int(s.messages), root: s.destinationOf(0)}
	if run.topics == 0 {
		run.topics = retainedTopics
	}
	p.begin("store")
	stored, err := run.measure(func() error { return run.store(ctx, filler(s.size)) })
	if err != nil {
		return nil, err
	}
	p.begin("fetch")
	fetched, err := run.measure(func() error {
		for range retainedFetches {
			if err := run.fetch(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := run.store(ctx, nil); err != nil { // which makes the topics forget
		return nil, err
	}
	n, all := int64(run.topics), int64(run.topics)*retainedFetches
	r := newResult(s)
	r.Delivered, r.Seconds, r.DeliverPS = all, fetched.elapsed.Seconds(), perSecond(all, fetched.elapsed.Seconds())
	r.setUsage(fetched, all)
	r.Retained = &retainedResult{Topics: n, StoredPS: perSecond(n, stored.elapsed.Seconds()), FetchedPS: r.DeliverPS}
	if s.pid != 0 {
		r.Retained.StoreCPU = figure(1e6*stored.broker.Seconds()/float64(n), 2)
		r.Retained.FetchCPU = figure(1e6*fetched.broker.Seconds()/float64(all), 2)
	}
	return r, nil
}

// retainedRun is one run's.
type retainedRun struct {
	s      *settings
	dialer *dialer
	proto  mqttProtocol
	topics int
	root   string
}

func (r *retainedRun) measure(what func() error) (usage, error) {
	meter, err := startMeter(r.s.pid)
	if err != nil {
		return usage{}, err
	}
	if err := what(); err != nil {
		return usage{}, err
	}
	return meter.stop()
}

// store publishes body to each topic, and waits until the broker has read all.
func (r *retainedRun) store(ctx context.Context, body []byte) error {
	k, err := r.dialer.connect(ctx)
	if err != nil {
		return err
	}
	defer k.conn.Close()
	var out []byte
	for i := range r.topics {
		b := appendMqttText(nil, r.root+"/"+strconv.Itoa(i))
		if r.proto.level == 5 {
			b = append(b, 0)
		}
		out = appendMqttPacket(out, mqttPublish<<4|1, append(b, body...))
		if len(out) >= readSize || i == r.topics-1 {
			if _, err := k.conn.Write(out); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
			out = out[:0]
		}
	}
	if _, err := k.conn.Write(k.codec.appendDisconnect(nil)); err != nil {
		return fmt.Errorf("say goodbye: %w", err)
	}
	return k.awaitReply()
}

// fetch subscribes to all topics on a connection of its own.
func (r *retainedRun) fetch(ctx context.Context) error {
	k, err := r.dialer.connect(ctx)
	if err != nil {
		return err
	}
	defer k.conn.Close()
	if err := k.conn.SetDeadline(time.Now().Add(r.s.timeout)); err != nil {
		return err
	}
	if _, err := k.conn.Write(k.codec.appendSubscribe(nil, subscription{destination: r.root + "/#"})); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	f := &fetched{want: r.topics}
	if err := k.read(f); !errors.Is(err, errFetched) {
		return fmt.Errorf("%d of %d retained messages came: %w", f.got, f.want, errors.Join(err, errIncomplete))
	}
	return nil
}

// fetched counts what a fetch brings.
type fetched struct{ want, got int }

func (f *fetched) receive(*event, int64) error {
	if f.got++; f.got == f.want {
		return errFetched
	}
	return nil
}

func (f *fetched) flush(int64) error { return nil }
