//go:build integration

package cluster

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/election/etcd/embedded"
	"github.com/entrepot-mq/entrepot/integration/harness"
)

// etcdElsewhere starts an etcd of one member that isn't inside a node.
func etcdElsewhere(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	select {
	case <-s.Ready():
	case <-time.After(time.Minute):
		t.Fatal("etcd did not get ready")
	}
	return s
}

func etcdOptions(t *testing.T) embedded.Options {
	t.Helper()
	free, err := harness.FreeAddresses(2)
	if err != nil {
		t.Fatal(err)
	}
	return embedded.Options{
		Node: "e", Group: "elsewhere", Dir: filepath.Join(t.TempDir(), "etcd"), Members: map[string]string{"e": free[0]},
		ListenPeer: free[0], ListenClient: free[1], ClientAddress: free[1],
	}
}

// stepsDown waits until the master isn't it any more, and checks that from then
// on nothing is confirmed.
func (r *rig) stepsDown(m *Node) {
	r.t.Helper()
	r.ok(harness.Until(r.t.Context(), r.Lease+30*time.Second, "the master steps down", func() bool {
		s, err := m.Status(r.t.Context())
		return err == nil && s.Role != "master"
	}))
	if n := r.confirmations(500 * time.Millisecond); n != 0 {
		r.t.Errorf("%d sends were confirmed by a group without a master", n)
	}
}

func TestWithoutEtcdTheMasterStepsDownAndServiceResumesByItself(t *testing.T) {
	o := etcdOptions(t)
	server := etcdElsewhere(t, o)
	r := newRigOf(t, Shape{Etcd: o.ClientAddress})

	r.load.ForgetGaps()
	began := time.Now()
	server.Close()
	r.stepsDown(r.master())
	t.Logf("etcd ended: the master stepped down within %v, with a lease of %v", time.Since(began).Round(time.Millisecond), r.Lease)
	etcdElsewhere(t, o)
	r.goesOn("the end of etcd")
	r.ok(r.Whole(t.Context(), time.Minute))

	m := r.master()
	r.load.ForgetGaps()
	began = time.Now()
	r.CutEtcd()
	r.stepsDown(m)
	t.Logf("etcd is not heard: the master stepped down within %v", time.Since(began).Round(time.Millisecond))
	r.Mend()
	r.goesOn("silence of etcd")
	r.ok(r.Whole(t.Context(), time.Minute))
	r.finish()
}

func TestAMasterThatAloneDoesNotReachEtcdIsReplaced(t *testing.T) {
	o := etcdOptions(t)
	etcdElsewhere(t, o)
	r := newRigOf(t, Shape{Etcd: o.ClientAddress})
	m := r.master()
	r.load.ForgetGaps()
	r.CutEtcd(m.Name)
	r.ok(harness.Until(t.Context(), time.Minute, "another master", func() bool {
		now, _, err := r.Group.Master(t.Context(), time.Second)
		return err == nil && now != m
	}))
	r.goesOn("a master without etcd")
	r.Mend()
	r.ok(r.Whole(t.Context(), time.Minute))
	r.finish()
}
