package broker

import (
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// rejection is a record that ends messages, on its way. If it finds no room on
// the disk, because of the dead letters, the messages wait again.
type rejection struct {
	q     *queue.Queue
	ds    []queue.Held
	done  store.Done // may be nil
	token uint64
}

// Complete implements store.Done.
func (r *rejection) Complete(_ uint64, err error) {
	if err != nil {
		r.q.Return(r.ds)
	}
	if r.done != nil {
		r.done.Complete(r.token, err)
	}
}
