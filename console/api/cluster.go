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
