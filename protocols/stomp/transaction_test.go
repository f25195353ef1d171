package stomp

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func mustMessage(lo uint64) *message.Message {
	return message.New(&message.Envelope{ID: message.ID{Hi: 1, Lo: lo}, Destination: message.Queue("a")}, message.EncodingSTOMP, []byte{0})
}

func TestCommitSendsAndAcknowledgesAllAtOnce(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v10, v11, v12} {
		in, out := "destination:/queue/in"+v.String(), "destination:/queue/out"+v.String()
		c, other := r.connect(v), r.connect(v)
		other.do("SUBSCRIBE", "id:s", out)
		c.do("SUBSCRIBE", "id:s", in, "ack:client")
		c.do("SEND", in, "\n1")
		c.do("SEND", in, "\n2")
		c.message("1")
		f := c.message("2")
		c.do("BEGIN", "transaction:t")
		c.do("ACK", append(ackHeaders(v, f), "transaction:t")...)
		c.do("SEND", out, "transaction:t", "persistent:true", "\na")
		c.do("SEND", out, "transaction:t", "\nb")
		other.quiet()
		c.do("COMMIT", "transaction:t")
		other.message("a")
		other.message("b")
		c.send("ACK", ackHeaders(v, f)...)
		if e := c.read(); e.command != "ERROR" {
			t.Errorf("%v: acknowledged twice: %v", v, e)
		}
		c.do("UNSUBSCRIBE", "id:s")
		c.do("SUBSCRIBE", "id:s", in)
		c.quiet()
	}
}

func TestAbortForgetsSendsAndLeavesDeliveriesWithTheClient(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v10, v11, v12} {
		in, out := "destination:/queue/in"+v.String(), "destination:/queue/out"+v.String()
		c := r.connect(v)
		c.do("SUBSCRIBE", "id:s", in, "ack:client-individual")
		c.do("SUBSCRIBE", "id:out", out)
		c.do("SEND", in, "persistent:true", "\n1")
		f := c.message("1")
		c.do("BEGIN", "transaction:t")
		c.do("ACK", append(ackHeaders(v, f), "transaction:t")...)
		c.do("SEND", out, "transaction:t", "persistent:true", "\nnever")
		c.do("ABORT", "transaction:t")
		c.quiet() // neither sent nor delivered again
		c.do("ACK", ackHeaders(v, f)...)
		c.do("UNSUBSCRIBE", "id:s")
		c.do("SUBSCRIBE", "id:s", in)
		c.quiet()
	}
}

func TestConnectionThatEndsRollsBack(t *testing.T) {
	r := newRig(t, nil)
	c, other := r.connect(v12), r.connect(v12)
	other.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	c.do("BEGIN", "transaction:t")
	c.do("SEND", "destination:/queue/a", "transaction:t", "\nnever")
	c.do("DISCONNECT")
	c.closed()
	other.quiet()
}

func TestSeveralTransactionsAtOnce(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	c.do("BEGIN", "transaction:1")
	c.do("BEGIN", "transaction:2")
	c.do("SEND", "destination:/queue/a", "transaction:1", "\nof 1")
	c.do("SEND", "destination:/queue/a", "transaction:2", "\nof 2")
	c.do("COMMIT", "transaction:2")
	c.message("of 2")
	c.do("COMMIT", "transaction:1")
	c.message("of 1")
}

func TestTransactionIsRefused(t *testing.T) {
	r := newRig(t, map[string]string{optTransactions: "2", optTxFrames: "3", optTxBytes: "4k"})
	c := r.connect(v12)
	c.do("BEGIN", "transaction:open")
	for _, tt := range []struct{ command, header, want string }{
		{"BEGIN", "x:y", "BEGIN needs the header transaction"},
		{"BEGIN", "transaction:", "BEGIN needs the header transaction"},
		{"BEGIN", "transaction:open", `transaction "open" is open already`},
		{"COMMIT", "x:y", "COMMIT needs the header transaction"},
		{"COMMIT", "transaction:none", `there is no transaction "none"`},
		{"ABORT", "transaction:none", `there is no transaction "none"`},
	} {
		c.send(tt.command, tt.header, "receipt:8")
		if f := c.error(tt.want); f.get("receipt-id") != "8" {
			t.Error(f)
		}
	}
	c.do("BEGIN", "transaction:second")
	c.send("BEGIN", "transaction:third")
	c.error("connection has 2 open transactions")

	for range 3 {
		c.do("SEND", "destination:/queue/a", "transaction:open", "\nx")
	}
	c.send("SEND", "destination:/queue/a", "transaction:open", "\nx")
	c.error("transaction has 3 frames")
	c.send("SEND", "destination:/queue/a", "transaction:second", fmt.Sprintf("\n%04096d", 0))
	c.error("transaction has more than 4096 bytes")
	c.do("ABORT", "transaction:open")
	c.quiet()
}

func TestTransactionWithARefusedFrameCannotBeCommitted(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	for _, bad := range [][]string{
		{"destination:/queue/a.*"}, {"destination:/queue/a", "priority:x"}, nil,
	} {
		c.do("BEGIN", "transaction:t")
		c.do("SEND", "destination:/queue/a", "transaction:t", "\ngood")
		c.send("SEND", append(bad, "transaction:t")...)
		why := c.read()
		if why.command != "ERROR" {
			t.Fatal(why)
		}
		c.send("COMMIT", "transaction:t", "receipt:1")
		if f := c.error("transaction is rolled back, because a frame of it was refused: " + why.get("message")); f.get("receipt-id") != "1" {
			t.Error(f)
		}
		c.send("COMMIT", "transaction:t")
		c.error(`there is no transaction "t"`)
	}
	c.do("BEGIN", "transaction:t")
	c.send("ACK", "id:1-99", "transaction:t")
	c.error("messages of an automatic subscription can't be acknowledged")
	c.do("COMMIT", "transaction:t")
	c.quiet()
}
