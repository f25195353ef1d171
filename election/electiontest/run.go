package electiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

// patience is how long a check waits for what has to come.
const patience = 20 * time.Second

// Run runs all checks. Each calls open for the Coordinators of nodes "a", "b"
// and so on of one group, which must be a new one for each test. Leases should
// be short.
func Run(t *testing.T, open func(t *testing.T, nodes ...string) []election.Coordinator) {
	for name, check := range map[string]func(*rig){
		"a group that isn't there":                   (*rig).noGroup,
		"a group is created once":                    (*rig).createdOnce,
		"a campaign takes lock and epoch":            (*rig).campaign,
		"a held lock can't be taken":                 (*rig).heldLock,
		"an old view can't win":                      (*rig).oldView,
		"of many candidates one wins":                (*rig).manyCandidates,
		"the same campaign again does nothing":       (*rig).campaignAgain,
		"the master changes the configuration":       (*rig).change,
		"a deposed master changes nothing":           (*rig).deposed,
		"a lease that is revoked frees the lock":     (*rig).revoked,
		"a lease is kept":                            (*rig).kept,
		"a lease that has ended can't campaign":      (*rig).endedLease,
		"a watch shows now and the last":             (*rig).watch,
		"a watch ends with its context":              (*rig).watchEnds,
		"an operator recovers only without a master": (*rig).recovered,
		"hints":                       (*rig).hints,
		"floors":                      (*rig).floors,
		"closing gives the lock back": (*rig).closed,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			r := &rig{T: t, ctx: ctx, open: open}
			check(r)
		})
	}
}

// rig is what a check works with.
type rig struct {
	*testing.T
	ctx  context.Context
	open func(t *testing.T, nodes ...string) []election.Coordinator
}

func (r *rig) nodes(names ...string) []election.Coordinator {
	r.Helper()
	all := r.open(r.T, names...)
	r.Cleanup(func() {
		for _, c := range all {
			if err := c.Close(); err != nil {
				r.Log("closing: ", err)
			}
		}
	})
	return all
}

// first is the configuration of a new group.
func first() election.Configuration {
	return election.Configuration{
		GroupID: "g-1", Format: 1, Version: 1, Quorum: 2,
		InSync: []election.Member{{Node: "a", Inc: 1}, {Node: "b", Inc: 1}}, Voters: []string{"a", "b"},
	}
}

// won is c after an election that node won.
func won(c election.Configuration, node string) election.Configuration {
	c = c.Clone()
	c.Version, c.Epoch, c.Master = c.Version+1, c.Epoch+1, node
	return c
}

// must fails the check on an error.
func must[T any](r *rig) func(v T, err error) T {
	return func(v T, err error) T {
		r.Helper()
		if err != nil {
			r.Fatal(err)
		}
		return v
	}
}

func (r *rig) wants(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("got %v, want %v", err, want)
	}
}

func (r *rig) same(got, want election.Configuration) {
	r.Helper()
	if !got.Equal(&want) {
		r.Fatalf("the configuration is\n%+v, want\n%+v", got, want)
	}
}

func (r *rig) created(c election.Coordinator) election.State {
	r.Helper()
	return must[election.State](r)(c.Create(r.ctx, first()))
}

// elect makes node the master of the group as s shows it.
func (r *rig) elect(c election.Coordinator, node string, s election.State) (election.Lease, election.State) {
	r.Helper()
	l := must[election.Lease](r)(c.Grant(r.ctx))
	next := won(s.Config, node)
	s = must[election.State](r)(c.Campaign(r.ctx, l, s.ConfigRevision, lockOf(node, next.Epoch), next))
	return l, s
}

func lockOf(node string, epoch uint64) election.Lock {
	return election.Lock{Node: node, Inc: 1, Epoch: epoch, Replication: node + ":1", Client: map[string]string{"stomp": node + ":2"}}
}

// until reads until f holds.
func (r *rig) until(c election.Coordinator, what string, f func(*election.State) bool) election.State {
	r.Helper()
	for end := time.Now().Add(patience); ; {
		s, err := c.Read(r.ctx)
		if err == nil && f(&s) {
			return s
		}
		if time.Now().After(end) {
			r.Fatalf("%s: in vain; now %+v, %v", what, s, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *rig) noGroup() {
	c := r.nodes("a")[0]
	s := must[election.State](r)(c.Read(r.ctx))
	if s.ConfigRevision != 0 || s.Lock != nil || s.LockRevision != 0 {
		r.Errorf("a group that isn't there is %+v", s)
	}
}

func (r *rig) createdOnce() {
	all := r.nodes("a", "b")
	s := r.created(all[0])
	r.same(s.Config, first())
	if s.ConfigRevision == 0 {
		r.Error("what exists has no revision")
	}
	other := first()
	other.GroupID = "g-2"
	present, err := all[1].Create(r.ctx, other)
	r.wants(err, election.ErrConflict)
	r.same(present.Config, first())
	r.same(must[election.State](r)(all[1].Read(r.ctx)).Config, first())
}

func (r *rig) campaign() {
	all := r.nodes("a", "b")
	before := r.created(all[0])
	l, s := r.elect(all[0], "a", before)
	if s.ConfigRevision <= before.ConfigRevision || s.LockRevision == 0 {
		r.Errorf("revisions %d and %d after %d", s.ConfigRevision, s.LockRevision, before.ConfigRevision)
	}
	r.same(s.Config, won(first(), "a"))
	seen := must[election.State](r)(all[1].Read(r.ctx))
	r.same(seen.Config, s.Config)
	want := lockOf("a", 1)
	if k := seen.Lock; k == nil || k.Node != want.Node || k.Epoch != 1 || k.Lease != l.ID() || k.Client["stomp"] != "a:2" || k.Replication != "a:1" {
		r.Errorf("the other sees the lock %+v", k)
	}
	if seen.LockRevision != s.LockRevision || seen.ConfigRevision != s.ConfigRevision {
		r.Errorf("the other sees other revisions: %+v, not %+v", seen, s)
	}
}

func (r *rig) heldLock() {
	all := r.nodes("a", "b")
	_, s := r.elect(all[0], "a", r.created(all[0]))
	l := must[election.Lease](r)(all[1].Grant(r.ctx))
	_, err := all[1].Campaign(r.ctx, l, s.ConfigRevision, lockOf("b", 2), won(s.Config, "b"))
	r.wants(err, election.ErrConflict)
	r.same(must[election.State](r)(all[1].Read(r.ctx)).Config, s.Config)
}

func (r *rig) oldView() {
	all := r.nodes("a", "b")
	old := r.created(all[0])
	l, s := r.elect(all[0], "a", old)
	if err := l.Revoke(r.ctx); err != nil {
		r.Fatal(err)
	}
	late := must[election.Lease](r)(all[1].Grant(r.ctx))
	_, err := all[1].Campaign(r.ctx, late, old.ConfigRevision, lockOf("b", 1), won(old.Config, "b"))
	r.wants(err, election.ErrConflict)
	after := must[election.State](r)(all[1].Read(r.ctx))
	r.same(after.Config, s.Config)
	if after.Lock != nil {
		r.Errorf("a campaign that failed left the lock %+v", after.Lock)
	}
}

func (r *rig) manyCandidates() {
	const n = 8
	var names []string
	for i := range n {
		names = append(names, string(rune('a'+i)))
	}
	all := r.nodes(names...)
	s := r.created(all[0])
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i, c := range all {
		wg.Go(func() {
			l, err := c.Grant(r.ctx)
			if err == nil {
				_, err = c.Campaign(r.ctx, l, s.ConfigRevision, lockOf(names[i], 1), won(s.Config, names[i]))
			}
			errs[i] = err
		})
	}
	wg.Wait()
	winner := ""
	for i, err := range errs {
		switch {
		case err == nil && winner != "":
			r.Fatalf("%s and %s won the same election", winner, names[i])
		case err == nil:
			winner = names[i]
		case !errors.Is(err, election.ErrConflict):
			r.Errorf("%s: %v", names[i], err)
		}
	}
	if got := must[election.State](r)(all[0].Read(r.ctx)); got.Config.Master != winner || got.Lock == nil || got.Lock.Node != winner {
		r.Errorf("%q won, and the state is %+v", winner, got)
	}
}

func (r *rig) campaignAgain() {
	c := r.nodes("a")[0]
	s := r.created(c)
	l, after := r.elect(c, "a", s)
	// A node that got no answer does it again.
	_, err := c.Campaign(r.ctx, l, s.ConfigRevision, lockOf("a", 1), won(s.Config, "a"))
	if err != nil && !errors.Is(err, election.ErrConflict) {
		r.Error(err)
	}
	got := must[election.State](r)(c.Read(r.ctx))
	r.same(got.Config, after.Config)
	if got.LockRevision != after.LockRevision || got.ConfigRevision != after.ConfigRevision {
		r.Errorf("it was written twice: %+v, then %+v", after, got)
	}
}

func (r *rig) change() {
	c := r.nodes("a")[0]
	_, s := r.elect(c, "a", r.created(c))
	next := s.Config.Clone()
	next.Version++
	next.InSync = next.InSync[:1]
	after := must[election.State](r)(c.Change(r.ctx, s.LockRevision, s.ConfigRevision, next))
	r.same(after.Config, next)
	if after.LockRevision != s.LockRevision || after.ConfigRevision <= s.ConfigRevision {
		r.Errorf("revisions %+v after %+v", after, s)
	}
	next.Version++
	_, err := c.Change(r.ctx, s.LockRevision, s.ConfigRevision, next)
	r.wants(err, election.ErrConflict)
	_, err = c.Change(r.ctx, s.LockRevision+1, after.ConfigRevision, next)
	r.wants(err, election.ErrConflict)
}

func (r *rig) deposed() {
	all := r.nodes("a", "b")
	l, s := r.elect(all[0], "a", r.created(all[0]))
	if err := l.Revoke(r.ctx); err != nil {
		r.Fatal(err)
	}
	next := s.Config.Clone()
	next.Version++
	_, err := all[0].Change(r.ctx, s.LockRevision, s.ConfigRevision, next)
	r.wants(err, election.ErrConflict)
	_, err = all[0].Change(r.ctx, 0, s.ConfigRevision, next) // no lock is not a lock
	r.wants(err, election.ErrConflict)
	_, second := r.elect(all[1], "b", must[election.State](r)(all[1].Read(r.ctx)))
	_, err = all[0].Change(r.ctx, s.LockRevision, second.ConfigRevision, next)
	r.wants(err, election.ErrConflict)
	r.same(must[election.State](r)(all[0].Read(r.ctx)).Config, second.Config)
}

func (r *rig) revoked() {
	all := r.nodes("a", "b")
	l, _ := r.elect(all[0], "a", r.created(all[0]))
	select {
	case <-l.Lost():
		r.Fatal("lost before its time")
	default:
	}
	if err := l.Revoke(r.ctx); err != nil {
		r.Fatal(err)
	}
	if l.Deadline() != 0 {
		r.Errorf("a revoked lease holds until %v", l.Deadline())
	}
	select {
	case <-l.Lost():
	default:
		r.Error("Lost is open")
	}
	s := r.until(all[1], "the lock is free", func(s *election.State) bool { return s.Lock == nil })
	if s.LockRevision != 0 {
		r.Errorf("no lock has revision %d", s.LockRevision)
	}
	if err := l.Revoke(r.ctx); err != nil {
		r.Error("revoking again: ", err)
	}
}

func (r *rig) kept() {
	c := r.nodes("a")[0]
	l := must[election.Lease](r)(c.Grant(r.ctx))
	if l.ID() == 0 {
		r.Error("a lease without a name")
	}
	start := l.Deadline()
	if start <= election.Now() {
		r.Fatalf("a new lease holds until %v, now is %v", start, election.Now())
	}
	for end := time.Now().Add(patience); l.Deadline() == start; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatal("it isn't renewed")
		}
	}
	if l.Deadline() < start {
		r.Errorf("the deadline went back from %v to %v", start, l.Deadline())
	}
}

func (r *rig) endedLease() {
	c := r.nodes("a")[0]
	s := r.created(c)
	l := must[election.Lease](r)(c.Grant(r.ctx))
	if err := l.Revoke(r.ctx); err != nil {
		r.Fatal(err)
	}
	_, err := c.Campaign(r.ctx, l, s.ConfigRevision, lockOf("a", 1), won(s.Config, "a"))
	r.wants(err, election.ErrLeaseLost)
	r.same(must[election.State](r)(c.Read(r.ctx)).Config, s.Config)
}

func (r *rig) next(watch <-chan election.State, what string, f func(*election.State) bool) {
	r.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case s, ok := <-watch:
			if !ok {
				r.Fatalf("%s: the watch ended", what)
			}
			if f(&s) {
				return
			}
		case <-timer.C:
			r.Fatalf("%s: the watch doesn't show it", what)
		}
	}
}

func (r *rig) watch() {
	all := r.nodes("a", "b")
	watch := all[1].Watch(r.ctx)
	r.next(watch, "no group", func(s *election.State) bool { return s.ConfigRevision == 0 })
	l, s := r.elect(all[0], "a", r.created(all[0]))
	r.next(watch, "the master", func(s *election.State) bool { return s.Lock != nil && s.Lock.Node == "a" && s.Config.Epoch == 1 })
	// Nobody looks while this happens; what is last must not be missed.
	for range 50 {
		next := s.Config.Clone()
		next.Version++
		s = must[election.State](r)(all[0].Change(r.ctx, s.LockRevision, s.ConfigRevision, next))
	}
	if err := l.Revoke(r.ctx); err != nil {
		r.Fatal(err)
	}
	r.next(watch, "the last", func(got *election.State) bool { return got.Lock == nil && got.Config.Equal(&s.Config) })
}

func (r *rig) watchEnds() {
	c := r.nodes("a")[0]
	ctx, cancel := context.WithCancel(r.ctx)
	watch := c.Watch(ctx)
	cancel()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case _, ok := <-watch:
			if !ok {
				return
			}
		case <-timer.C:
			r.Fatal("the channel stays open")
		}
	}
}

func (r *rig) recovered() {
	all := r.nodes("a", "b")
	l, s := r.elect(all[0], "a", r.created(all[0]))
	next := s.Config.Clone()
	next.Version, next.Epoch, next.Unclean, next.Quorum = next.Version+1, next.Epoch+1, 1, 1
	next.InSync = []election.Member{{Node: "b", Inc: 1}}
	_, err := all[1].Recover(r.ctx, s.ConfigRevision, next)
	r.wants(err, election.ErrConflict)
	if err := l.Revoke(r.ctx); err != nil {
		r.Fatal(err)
	}
	_, err = all[1].Recover(r.ctx, s.ConfigRevision-1, next)
	r.wants(err, election.ErrConflict)
	r.same(must[election.State](r)(all[1].Recover(r.ctx, s.ConfigRevision, next)).Config, next)
}

func (r *rig) hints() {
	all := r.nodes("a", "b")
	h := election.Hint{
		Node: "b", Inc: 3, Role: "follower", Epoch: 7, Index: 9, Commit: 8, Weight: 2, Fit: true,
		Replication: "b:1", Client: map[string]string{"stomp": "b:2"}, Console: "b:3", Version: "1", FormatMin: 1, FormatMax: 2,
	}
	for _, index := range []uint64{9, 10} {
		h.Index = index
		if err := all[1].SetHint(r.ctx, h); err != nil {
			r.Fatal(err)
		}
	}
	if err := all[0].SetHint(r.ctx, election.Hint{Node: "a"}); err != nil {
		r.Fatal(err)
	}
	s := must[election.State](r)(all[0].Read(r.ctx))
	if len(s.Hints) != 2 || s.Hints[0].Node != "a" || fmt.Sprintf("%+v", s.Hints[1]) != fmt.Sprintf("%+v", h) {
		r.Errorf("hints: %+v", s.Hints)
	}
	if err := all[1].Close(); err != nil {
		r.Fatal(err)
	}
	r.until(all[0], "the hint goes with its node", func(s *election.State) bool { return len(s.Hints) == 1 })
}

func (r *rig) floors() {
	all := r.nodes("a", "b")
	if _, ok, err := all[0].Floor(r.ctx, "a"); err != nil || ok {
		r.Errorf("a floor that isn't there: %v, %v", ok, err)
	}
	want := election.Floor{Inc: 1, Promised: 2, Epoch: 3, Index: 4}
	if err := all[0].SetFloor(r.ctx, "a", want); err != nil {
		r.Fatal(err)
	}
	if err := all[0].Close(); err != nil {
		r.Fatal(err)
	}
	got, ok, err := all[1].Floor(r.ctx, "a")
	if err != nil || !ok || got != want {
		r.Errorf("the floor is %+v, %v, %v", got, ok, err)
	}
}

func (r *rig) closed() {
	all := r.nodes("a", "b")
	l, _ := r.elect(all[0], "a", r.created(all[0]))
	if err := all[0].Close(); err != nil {
		r.Fatal(err)
	}
	if l.Deadline() != 0 {
		r.Error("the lease outlived its coordinator")
	}
	r.until(all[1], "the lock is free", func(s *election.State) bool { return s.Lock == nil })
}
