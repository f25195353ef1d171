package broker

import (
	"encoding/hex"
	"slices"

	"github.com/entrepot-mq/entrepot/core/store"
)

// PreparedInfo is what administrators see of a prepared transaction.
type PreparedInfo struct {
	ID           string // its name in hexadecimal digits: clients choose names of any bytes
	User         string // who prepared it, "" without security
	Sends        int
	Settles      int      // messages that it takes out of queues
	Destinations []string // that it sends to, up to 16 of them
}

// PreparedTransactions lists the transactions of all users that were prepared
// and wait for their end. The only sort key is name: the id.
func (b *Broker) PreparedTransactions(l List) (Listed[PreparedInfo], error) {
	if l.Sort != "" && l.Sort != "name" {
		return Listed[PreparedInfo]{}, unknownSort(l.Sort, "name")
	}
	l.Sort = ""
	p := b.prepared
	p.mu.Lock()
	defer p.mu.Unlock()
	rows := make([]row[*branch], 0, len(p.list))
	for name, br := range p.list {
		if id := hex.EncodeToString([]byte(name)); !br.ends && (l.selects(id) || l.selects(br.user)) {
			rows = append(rows, row[*branch]{name: id, item: br})
		}
	}
	out := Listed[PreparedInfo]{Total: len(rows)}
	for _, r := range page(rows, l) {
		out.Items = append(out.Items, r.item.info(r.name))
	}
	return out, nil
}

func (br *branch) info(id string) PreparedInfo {
	const most = 16
	i := PreparedInfo{ID: id, User: br.user}
	for k := range br.ops { // a transaction has no others
		op := &br.ops[k]
		if op.Kind == store.OpAck {
			i.Settles += int(op.N) + 1
		}
		if op.Kind != store.OpPublish {
			continue
		}
		i.Sends++
		if d := op.Msg.Destination.String(); len(i.Destinations) < most && !slices.Contains(i.Destinations, d) {
			i.Destinations = append(i.Destinations, d)
		}
	}
	return i
}

// EndTransaction commits a prepared transaction of any user, or rolls it back,
// for an administrator whose transaction manager is lost, and waits until that
// is safe. id is that of PreparedInfo.
func (b *Broker) EndTransaction(id string, commit bool) error {
	op := "end prepared transaction " + id
	name, err := hex.DecodeString(id)
	if err != nil {
		return fail(CodeInvalid, op, "that is no id: it has hexadecimal digits")
	}
	br, err := b.prepared.end(op, string(name), "", true)
	if err != nil {
		return err
	}
	w := make(waiter, 1)
	b.store.Commit(b.prepared.request(string(name), br, commit, w, 0))
	return refused(<-w, op)
}
