//go:build integration

package cluster

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/entrepot-mq/entrepot/integration/amqp"
	"github.com/entrepot-mq/entrepot/integration/harness"
)

// TestUnsettledDeliveriesAndTransactionsOfAMQPSurviveFailovers ends masters
// under clients of AMQP, which come back at any node: nothing that was accepted
// is lost, nothing comes again after its settlement, and commits are whole.
func TestUnsettledDeliveriesAndTransactionsOfAMQPSurviveFailovers(t *testing.T) {
	folder := filepath.Join("..", "amqp", "py")
	python, err := harness.Python(t.Context(), filepath.Join(folder, "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	a := amqp.NewAccount()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	for i := range 2 {
		r.alive(ctx, &clients, i, func(address string) { a.Produce(ctx, address) })
		r.alive(ctx, &clients, i+1, func(address string) { a.Consume(ctx, address) })
	}
	r.alive(ctx, &clients, 2, func(address string) {
		if err := a.Transact(ctx, python, filepath.Join(folder, "transact.py"), address); err != nil {
			t.Error(err)
		}
	})
	enough := func(what string) {
		t.Helper()
		confirmed, settled, committed := a.Progress()
		r.ok(harness.Until(ctx, 2*time.Minute, what, func() bool {
			c, s, tx := a.Progress()
			return c >= confirmed+100 && s >= settled+50 && tx >= committed+3
		}))
	}
	faults := []string{"kill -9 of the broker", "the death of the node", "a pause longer than the lease", "kill -9 of all"}
	n := 0
	for range many(t, 5) {
		for _, what := range faults {
			enough("clients get on before " + what)
			r.breakOnce(what)
			n++
		}
	}
	enough("clients get on at the end")
	cancel()
	clients.Wait()
	ending, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r.ok(a.Finish(ending, r.master().AMQP))
	sum, err := a.Verdict()
	t.Logf("%d failovers: %s", n, sum)
	if err != nil {
		t.Error(err)
	}
	r.finish()
}

// alive runs a client again and again, at one node after the other, until ctx
// ends.
func (r *rig) alive(ctx context.Context, clients *sync.WaitGroup, at int, client func(address string)) {
	clients.Go(func() {
		for ; ctx.Err() == nil; at++ {
			client(r.Nodes[at%len(r.Nodes)].AMQP)
			rest(ctx)
		}
	})
}

// TestAStandbyRedirectsClientsOfAMQP follows the address in the close that
// answers open, before and after a failover.
func TestAStandbyRedirectsClientsOfAMQP(t *testing.T) {
	r := newRigOf(t, Shape{Settings: []string{"cluster.standby=redirect"}})
	check := func() {
		t.Helper()
		m := r.master()
		for _, n := range r.Nodes {
			r.ok(harness.Until(t.Context(), time.Minute, n.Name+" answers", func() bool {
				to, err := sentTo(t.Context(), n.AMQP)
				return err == nil && (n == m && to == "" || n != m && to == m.AMQP)
			}))
		}
	}
	check()
	r.ok(r.master().KillBroker())
	r.goesOn("kill -9 of the broker")
	r.ok(r.Start(t.Context()))
	r.ok(r.Whole(t.Context(), time.Minute))
	check()
	r.finish()
}

// sentTo is where a node sends a client, "" if it serves it.
func sentTo(ctx context.Context, address string) (to string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := goamqp.Dial(ctx, "amqp://"+address, &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous()})
	if err == nil {
		defer c.Close()
		_, err = c.NewSession(ctx, nil)
	}
	if err == nil {
		return "", nil
	}
	var lost *goamqp.ConnError
	if !errors.As(err, &lost) || lost.RemoteErr == nil || lost.RemoteErr.Condition != goamqp.ErrCondConnectionRedirect {
		return "", err
	}
	host, _ := lost.RemoteErr.Info["network-host"].(string)
	port, _ := lost.RemoteErr.Info["port"].(uint32)
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}
