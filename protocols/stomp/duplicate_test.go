package stomp

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/policy"
)

func TestASendWithAnIDThatWasThereIsConfirmedAndNotStored(t *testing.T) {
	r := rigWithPolicy(t, nil, func(p *policy.Policy) { p.Duplicates.Window = 10 })
	c := r.connect(v12)
	for _, id := range []string{"1", "2", "1"} {
		c.do("SEND", "destination:/queue/a", "persistent:true", "_AMQ_DUPL_ID:"+id, "\n"+id)
	}
	c.do("BEGIN", "transaction:t")
	for _, id := range []string{"2", "3", "3"} {
		c.do("SEND", "destination:/queue/a", "persistent:true", "transaction:t", "_AMQ_DUPL_ID:"+id, "\n"+id)
	}
	c.do("COMMIT", "transaction:t")
	c.do("SEND", "destination:/queue/a", "persistent:true", "\nend")
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	for _, want := range []string{"1", "2", "3", "end"} {
		c.message(want)
	}
}
