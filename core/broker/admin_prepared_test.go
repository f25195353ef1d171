package broker

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestAdministratorsListAndEndPreparedTransactions(t *testing.T) {
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("commit %v", commit), func(t *testing.T) {
			r := newRig(t)
			prepareOne(t, connect(t, r.Broker, ""), "x\xff")
			r.kill(1) // its transaction manager is lost
			got, err := r.PreparedTransactions(List{})
			want := Listed[PreparedInfo]{Total: 1, Items: []PreparedInfo{{ID: "78ff", Sends: 1, Settles: 1, Destinations: []string{"queue://b"}}}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%v, %s", err, diff)
			}
			if err := r.EndTransaction("78ff", commit); err != nil {
				t.Fatal(err)
			}
			if got, err := r.PreparedTransactions(List{}); err != nil || got.Total != 0 {
				t.Errorf("%+v, %v", got, err)
			}
			if err := r.EndTransaction("78ff", commit); CodeOf(err) != CodeNotFound {
				t.Errorf("a second end: %v", err)
			}
			r.kill(2)
			watch := connect(t, r.Broker, "")
			watch.subscribe(Subscription{Destination: message.Queue(">")})
			body := "in"
			if commit {
				body = "out"
			}
			wantBodies(t, watch.deliveries(1), body)
		})
	}
}

func TestTransactionsThatDoNotExistAreNotEnded(t *testing.T) {
	r := newRig(t)
	for id, want := range map[string]Code{"": CodeNotFound, "78": CodeNotFound, "7": CodeInvalid, "xy": CodeInvalid} {
		if err := r.EndTransaction(id, true); CodeOf(err) != want {
			t.Errorf("%q: %v, want %v", id, err, want)
		}
	}
	if _, err := r.PreparedTransactions(List{Sort: "user"}); CodeOf(err) != CodeInvalid {
		t.Errorf("an unknown key: %v", err)
	}
}
