package api

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ClusterStatus is what a node knows of its group.
type ClusterStatus struct {
	Mode      string     `json:"mode"` // "alone", "shared"
	Node      string     `json:"node"` // who answers
	Role      string     `json:"role"` // "master", "standby", "starting", "stopping"
	Master    string     `json:"master,omitempty"`
	Epoch     uint64     `json:"epoch"`                  // of the master; one more with each
	Since     *time.Time `json:"since,omitempty"`        // when the node took its role
	Failovers uint64     `json:"failovers"`              // how often this node became master after another one
	Lease     *float64   `json:"leaseSeconds,omitempty"` // of the master's claim, on the master only
	Standby   string     `json:"standby,omitempty"`      // what standbys do with clients
	// Console and Client are where the master is reached, the latter by listener.
	Console string            `json:"console,omitempty"`
	Client  map[string]string `json:"client,omitempty"`
	Copy    *CopyStatus       `json:"copy,omitempty"`    // of a replicated group
	Members []MemberStatus    `json:"members,omitempty"` // of a replicated group
}

// CopyStatus is how far this node's copy is, in records of the log.
type CopyStatus struct {
	Role      string `json:"role"`  // in the protocol's words
	Epoch     uint64 `json:"epoch"` // of the last record
	Index     uint64 `json:"index"`
	Durable   uint64 `json:"durable"`
	Committed uint64 `json:"committed"`
	Applied   uint64 `json:"applied"`
	Quorum    int    `json:"quorum"` // how many nodes must have a record
	Sync      string `json:"sync"`
	Rebuilds  uint64 `json:"rebuilds"` // stores that were set aside, and replaced by another node's copy, since the start
}

// MemberStatus is a node of a replicated group. What only the master knows is
// left out by others.
type MemberStatus struct {
	Node    string   `json:"node"`
	Address string   `json:"address,omitempty"` // for replication
	Master  bool     `json:"master"`
	InSync  bool     `json:"inSync"`
	Phase   string   `json:"phase,omitempty"`
	Lag     *uint64  `json:"lag,omitempty"`      // records
	Behind  *int64   `json:"lagBytes,omitempty"` // the same in bytes of log
	Silent  *float64 `json:"silentSeconds,omitempty"`
	Etcd    string   `json:"etcd,omitempty"` // "voter" or "learner" of the etcd inside; left out for neither
}

// memberChange is the body of a request about a node.
type memberChange struct {
	Node string `json:"node"`
}

// members is asked of the master: only it knows how far the others are.
func (c *call) members() error {
	var out struct {
		Members []MemberStatus `json:"members"`
	}
	if c.o.Cluster != nil {
		out.Members = c.o.Cluster().Members
	}
	if out.Members == nil {
		out.Members = []MemberStatus{}
	}
	return c.json(http.StatusOK, out)
}

func (c *call) addMember() error {
	var m memberChange
	if err := c.read(&m); err != nil {
		return err
	}
	if m.Node == "" {
		return invalid("node is missing")
	}
	return c.changeMember(m.Node, true)
}

func (c *call) removeMember() error { return c.changeMember(c.r.PathValue("node"), false) }

func (c *call) changeMember(node string, add bool) error {
	if c.o.ChangeMember == nil {
		return &problem{status: http.StatusConflict, detail: "this broker is no member of a replicated group"}
	}
	if err := c.o.ChangeMember(c.r.Context(), node, add); err != nil {
		return &problem{status: http.StatusConflict, detail: err.Error()}
	}
	return c.none()
}

// ErrAlone says that there is no group.
var ErrAlone = errors.New("this broker is no member of a group")

func (c *call) cluster() error {
	if c.o.Cluster == nil {
		return c.json(http.StatusOK, ClusterStatus{Mode: "alone", Role: "master"})
	}
	return c.json(http.StatusOK, c.o.Cluster())
}

// stepDown answers when another node may be master.
func (c *call) stepDown() error {
	if c.o.StepDown == nil {
		return &problem{status: http.StatusConflict, detail: ErrAlone.Error()}
	}
	// The caller's connection may end with the master's role; what was begun goes on.
	if err := c.o.StepDown(context.WithoutCancel(c.r.Context())); err != nil {
		return &problem{status: http.StatusConflict, detail: err.Error()}
	}
	return c.none()
}

// forcing is the body of a request to force a master.
type forcing struct {
	Node       string `json:"node"`
	AcceptLoss bool   `json:"acceptLoss"` // of what only nodes had that can't be reached
}

// forceLeader is answered by the node itself: there is no master that could be asked.
func (c *call) forceLeader() error {
	if c.o.ForceLeader == nil {
		return &problem{status: http.StatusConflict, detail: "this broker is no member of a replicated group"}
	}
	var f forcing
	if err := c.read(&f); err != nil {
		return err
	}
	switch {
	case f.Node == "":
		return invalid("node is missing")
	case !f.AcceptLoss:
		return invalid("acceptLoss must be true: what only the missing nodes had is lost")
	}
	if err := c.o.ForceLeader(c.r.Context(), f.Node); err != nil {
		return &problem{status: http.StatusConflict, detail: err.Error()}
	}
	return c.none()
}
