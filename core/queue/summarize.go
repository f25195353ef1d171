package queue

import (
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
)

// What waits in memory is summed up too, page by page, once a lane has some
// pages of it: in the background, so that a queue whose messages go at once
// has nothing of it. No message joins a page that is complete, so its summary
// stays true.

const (
	unsummedPages = 64 // of a lane, that are complete: from there on they are summed up
	summedBatch   = 32 // pages that Summarize looks at in one call
)

// completed follows when the last message of a page has come.
func (q *Queue) completed(l *lane, number uint64) {
	if !q.summing && number >= max(l.summed, l.pages[0].number)+unsummedPages {
		q.summing = true
		q.broker.Unsummed(q)
	}
}

// Summarize sums up some pages that are complete and in memory, and reports
// whether it should be called again.
func (q *Queue) Summarize() (more bool) {
	batch := q.unsummed()
	var s selector.Summary
	for i := range batch {
		p := &batch[i]
		p.summary = q.summarize(&s, p.live, &p.msgs)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range batch {
		if _, p := q.pageOf(batch[i].laneNumber); p != nil && p.win != nil {
			p.win.summary = batch[i].summary
		}
	}
	q.summing = len(batch) == summedBatch
	return q.summing
}

// summable is a page to be summed up, as it was when it was chosen.
type summable struct {
	laneNumber
	live    uint64
	msgs    [pageSize]*message.Message
	summary []byte
}

// unsummed chooses complete pages that nobody has looked at yet.
func (q *Queue) unsummed() (batch []summable) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		for _, l := range []*lane{&lv.durable, &lv.transient} {
			at, _ := l.find(l.summed)
			for ; at < len(l.pages) && len(batch) < summedBatch; at++ {
				p := &l.pages[at]
				if p.number >= l.next>>pageShift {
					break
				}
				l.summed = p.number + 1
				if p.live != 0 && p.missing(0) == 0 && p.win.summary == nil {
					batch = append(batch, summable{laneNumber: laneNumber{l.number(), p.number}, live: p.live, msgs: p.win.msg})
				}
			}
		}
	}
	return batch
}

// summarize returns the summary of messages of a page, all of them in memory;
// nil if one can't be read.
func (q *Queue) summarize(s *selector.Summary, live uint64, msgs *[pageSize]*message.Message) []byte {
	s.Reset()
	c := q.broker.Converters()
	for m := live; m != 0; m &= m - 1 {
		if s.Add(msgs[bits.TrailingZeros64(m)], c) != nil {
			return nil
		}
	}
	return s.Append(nil)
}

// summary returns what is in memory of p's summary, nil if nothing is.
func (l *lane) summary(p *page) []byte {
	if p.win != nil && p.win.summary != nil {
		return p.win.summary
	}
	if p.packed {
		return l.packed[p.number].summary
	}
	return l.spilled[p.number].summary
}
