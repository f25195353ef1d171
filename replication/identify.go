package replication

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Identity is what Identify needs to know.
type Identity struct {
	Node        string
	Dir         string // of the store
	FS          disk.FS
	Level       Level
	Coordinator election.Coordinator
	Voters      []string // the group's nodes, if this one may found it
	// Forgets says that the node's store failed or was found damaged, or is new: it may lack what was acknowledged.
	Forgets bool
	Logger  *slog.Logger

	promisesLost error // the node's file is damaged
}

// Identify finds out who the node is: its incarnation, which grows if it may have forgotten something that it
// acknowledged, and its promises. It founds the group if there is none. It waits for the configuration's store until
// ctx ends: before a node knows that its disk has not gone back in time it must not talk to anyone.
func Identify(ctx context.Context, id Identity) (protocol.Hard, election.State, error) {
	if id.FS == nil {
		id.FS = disk.OS{}
	}
	if id.Logger == nil {
		id.Logger = slog.New(slog.DiscardHandler)
	}
	if err := id.FS.MkdirAll(id.Dir); err != nil {
		return protocol.Hard{}, election.State{}, err
	}
	c, known, err := readHard(id.FS, id.Dir)
	if err != nil && !errors.Is(err, errHardDamaged) {
		return protocol.Hard{}, election.State{}, err
	}
	id.promisesLost = err
	if err != nil {
		id.Logger.Error("this node doesn't know what it promised: its file is damaged", "error", err)
	}
	if known && c.Node != id.Node {
		return protocol.Hard{}, election.State{}, fmt.Errorf("the data directory %s belongs to node %q, not to %q", id.Dir, c.Node, id.Node)
	}
	if !known && id.promisesLost == nil && hasLog(id.FS, id.Dir) {
		return protocol.Hard{}, election.State{}, fmt.Errorf("the data directory %s belongs to a broker of its own: "+
			"a node of a group needs an empty one", id.Dir)
	}
	state, err := id.group(ctx, &c, known)
	if err != nil {
		return protocol.Hard{}, state, err
	}
	floor, hasFloor, err := id.floor(ctx)
	if err != nil {
		return protocol.Hard{}, state, err
	}
	if why := id.forgot(&c, known, floor, hasFloor); why != "" {
		c.Inc = max(c.Inc, floor.Inc, counted(&state.Config, id.Node)) + 1
		c.Promised = max(c.Promised, floor.Promised)
		id.Logger.Warn("this node may have forgotten something: it joins as another incarnation", "reason", why, "incarnation", c.Inc)
	} else if !known {
		c.Inc = 1
	}
	c.Node, c.Memory, c.Boot = id.Node, id.Level.memory(), bootID()
	if err := writeHard(id.FS, id.Dir, c); err != nil {
		return protocol.Hard{}, state, fmt.Errorf("store the node's identity: %w", err)
	}
	err = id.patiently(ctx, func(ctx context.Context) error {
		return id.Coordinator.SetFloor(ctx, id.Node, election.Floor{
			Inc: c.Inc, Promised: max(c.Promised, floor.Promised), Epoch: floor.Epoch, Index: floor.Index,
		})
	})
	return c.Hard, state, err
}

// counted is the incarnation of node that c counts as in sync, 0 if it counts none.
func counted(c *election.Configuration, node string) uint64 {
	for _, m := range c.InSync {
		if m.Node == node {
			return m.Inc
		}
	}
	return 0
}

// forgot returns why the node is another one than the group knows, "" if it is the same.
func (id *Identity) forgot(c *hardContent, known bool, floor election.Floor, hasFloor bool) string {
	switch {
	case id.promisesLost != nil:
		return "its file of promises is damaged"
	case !known && hasFloor:
		return "its disk is empty"
	case !known:
		return ""
	case id.Forgets:
		return "its store failed"
	case c.Promised > 0 && !hasLog(id.FS, id.Dir): // set aside, and the process ended before it had another incarnation
		return "its log is gone"
	case floor.Inc > c.Inc:
		return "its disk is older than its last incarnation"
	case floor.Promised > c.Promised:
		return "its disk is older than its last promise"
	case hasFloor && floor.Promised == c.Promised && id.lacks(floor):
		return "its log ends before what it had"
	case c.Memory && c.Boot != bootID():
		return "the machine restarted, and what was acknowledged was in its memory only"
	}
	return ""
}

// lacks reports whether the log ends before the floor.
func (id *Identity) lacks(floor election.Floor) bool {
	if floor.Index == 0 {
		return false
	}
	r, err := log.Check(id.FS, filepath.Join(id.Dir, "log"))
	if err != nil {
		return false // opening it will tell more
	}
	return r.Last.Epoch < floor.Epoch || r.Last.Epoch == floor.Epoch && r.Last.Index < floor.Index
}

func hasLog(fsys disk.FS, dir string) bool {
	names, err := fsys.List(filepath.Join(dir, "log"))
	return err == nil && slices.ContainsFunc(names, func(s string) bool { return strings.HasSuffix(s, ".seg") })
}

// group returns the state of the configuration's store, and founds the group if there is none.
func (id *Identity) group(ctx context.Context, c *hardContent, known bool) (state election.State, err error) {
	err = id.patiently(ctx, func(ctx context.Context) (err error) {
		if state, err = id.Coordinator.Read(ctx); err != nil || state.ConfigRevision != 0 {
			return err
		}
		if known && c.Config.Version > 0 {
			return fmt.Errorf("%w: it has no configuration, and this node was a member of group %s", election.ErrRewound, c.Config.GroupID)
		}
		if !slices.Contains(id.Voters, id.Node) {
			return election.ErrNoConfiguration // another node founds it
		}
		state, err = id.Coordinator.Create(ctx, founding(id.Voters))
		if errors.Is(err, election.ErrConflict) {
			state, err = id.Coordinator.Read(ctx)
		}
		return err
	})
	if err == nil && known && c.Config.GroupID != "" && c.Config.GroupID != state.Config.GroupID {
		err = fmt.Errorf("the data directory %s belongs to group %s, not to %s", id.Dir, c.Config.GroupID, state.Config.GroupID)
	}
	return state, err
}

// founding is a group's first configuration: everybody has everything, nothing.
func founding(voters []string) election.Configuration {
	c := election.Configuration{GroupID: rand.Text(), Format: 1, Version: 1, Epoch: 1, Quorum: election.Majority(len(voters))}
	c.Voters = slices.Sorted(slices.Values(voters))
	for _, v := range c.Voters {
		c.InSync = append(c.InSync, election.Member{Node: v, Inc: 1})
	}
	return c
}

func (id *Identity) floor(ctx context.Context) (f election.Floor, ok bool, err error) {
	err = id.patiently(ctx, func(ctx context.Context) (err error) {
		f, ok, err = id.Coordinator.Floor(ctx, id.Node)
		return err
	})
	return f, ok, err
}

// patiently tries fn until the configuration's store answers.
func (id *Identity) patiently(ctx context.Context, fn func(context.Context) error) error {
	for said := false; ; {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := fn(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || errors.Is(err, election.ErrRewound) || errors.Is(err, election.ErrConflict) {
			return err
		}
		if !said {
			id.Logger.Info("waits for the group's configuration", "reason", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// bootID names the present run of the operating system, "" if it doesn't say.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
