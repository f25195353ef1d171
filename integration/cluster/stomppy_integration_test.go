//go:build integration

package cluster

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// application starts a producer and a consumer with stomp.py that know the
// given addresses.
func (r *rig) application(queue string, addresses ...string) {
	r.t.Helper()
	python, err := harness.Python(r.t.Context(), filepath.Join("..", "stomp", "py", "requirements.txt"))
	r.ok(err)
	for _, role := range []string{"produce", "consume"} {
		s, err := r.load.StartScript(r.t.Context(), python, role, queue, addresses...)
		r.ok(err)
		r.ok(harness.Until(r.t.Context(), time.Minute, "stomp.py gets on", func() bool { return s.Events.Load() > 0 }))
	}
}

// An application that knows one address only, as stomp.py often does, and that
// of a node that isn't the master, goes on whichever node the master was.
func TestStompPyKeepsWorkingThroughAFollowersPort(t *testing.T) {
	r := newRig(t)
	for _, n := range r.Nodes {
		if n != r.master() {
			r.application("through-"+n.Name, n.Stomp)
		}
	}
	for range 3 {
		r.breakOnce("the death of the node")
		r.breakOnce("kill -9 of the broker")
	}
	r.finish()
}
