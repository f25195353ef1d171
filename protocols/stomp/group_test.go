package stomp

import (
	"fmt"
	"testing"
)

func TestAMessageGroupHasOneConsumerUntilItIsClosed(t *testing.T) {
	r := newRig(t, nil)
	one, two, p := r.connect(v12), r.connect(v11), r.connect(v12)
	one.do("SUBSCRIBE", "id:1", "destination:/queue/a", "ack:client-individual")
	two.do("SUBSCRIBE", "id:2", "destination:/queue/a", "ack:client-individual")
	send := func(seq int) {
		p.do("SEND", "destination:/queue/a", "persistent:true", "JMSXGroupID:g", fmt.Sprint("JMSXGroupSeq:", seq),
			"JMSXGroupFirstForConsumer:true", fmt.Sprint("\n", seq))
	}
	want := func(c *client, seq, first string) {
		t.Helper()
		f := c.message(seq)
		if f.get("JMSXGroupID") != "g" || f.get("JMSXGroupSeq") != seq || f.get("JMSXGroupFirstForConsumer") != first {
			t.Error(f)
		}
	}
	for _, seq := range []int{1, 2, -1, 3} {
		send(seq)
	}
	want(one, "1", "true")
	want(one, "2", "")
	want(one, "-1", "")
	want(two, "3", "true")
	two.do("UNSUBSCRIBE", "id:2")
	want(one, "3", "true")
}
