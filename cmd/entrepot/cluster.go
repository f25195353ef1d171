package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/console/api"
)

var clusterColumns = []column{
	{"Mode", "mode", false},
	{"Node", "node", false},
	{"Role", "role", false},
	{"Since", "since", false},
	{"Master", "master", false},
	{"Epoch", "epoch", false},
	{"Lease seconds left", "leaseSeconds", false},
	{"Console", "console", false},
	{"Clients", "client", false},
	{"Standbys", "standby", false},
	{"Failovers to it", "failovers", false},
}

// clusterCommand shows and moves the mastership of a group.
func (p *program) clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "See which node of a group is the master, and move it",
		Long: `Shows what a node knows of its group, and makes the master let another node be
it. Any node can be asked; what changes something goes to the master by itself.`,
		Example: "  entrepot cluster status\n  entrepot cluster status --console broker-b:8161 -o json\n  entrepot cluster step-down",
	}
	asGroup(cmd)
	cmd.AddCommand(p.clusterStatusCommand(), p.clusterMembersCommand(), p.clusterAddCommand(), p.clusterRemoveCommand(), p.clusterStepDownCommand(), p.clusterForceLeaderCommand(), p.clusterReseedCommand())
	return cmd
}

func (p *program) clusterStatusCommand() *cobra.Command {
	return p.managed(&cobra.Command{
		Use:     "status",
		Short:   "What a node knows of its group",
		Long:    "Shows the node's role, the master and its epoch, and where the master is reached.",
		Example: "  entrepot cluster status\n  entrepot cluster status -o json",
	}, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		var s object
		if err := m.api.call(ctx, http.MethodGet, "/cluster", nil, nil, &s); err != nil {
			return err
		}
		return printOne(p.out, m.output, clusterColumns, s)
	})
}

var memberColumns = []column{
	{"NODE", "node", false},
	{"MASTER", "master", false},
	{"IN SYNC", "inSync", false},
	{"LAG", "lag", false},
	{"LAG BYTES", "lagBytes", false},
	{"PHASE", "phase", false},
	{"SILENT S", "silentSeconds", false},
	{"ETCD", "etcd", false},
	{"ADDRESS", "address", true},
}

func (p *program) clusterMembersCommand() *cobra.Command {
	return p.managed(&cobra.Command{
		Use:     "members",
		Short:   "The nodes of a replicated group and their copies",
		Long:    "Lists the nodes of a replicated group. How far their copies are is known to the master, which answers whichever node is asked.",
		Example: "  entrepot cluster members\n  entrepot cluster members -o json",
	}, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		var s struct {
			Members []object `json:"members"`
		}
		if err := m.api.call(ctx, http.MethodGet, "/cluster/members", nil, nil, &s); err != nil {
			return err
		}
		return printList(p.out, m.output, memberColumns, s.Members)
	})
}

func (p *program) clusterAddCommand() *cobra.Command {
	return p.managed(&cobra.Command{
		Use:   "add NODE",
		Short: "Have a node join a replicated group",
		Long: `Has a node join the group: it gets a copy, and counts when it has caught up.
Start it with the group's settings, an empty data directory and the new name
first.`,
		Example: "  entrepot cluster add d",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.api.call(ctx, http.MethodPost, "/cluster/members", nil, object{"node": args[0]}, nil)
	})
}

func (p *program) clusterRemoveCommand() *cobra.Command {
	return p.managed(&cobra.Command{
		Use:         "remove NODE",
		Short:       "Take a node out of a replicated group",
		Long:        "Takes a node out of the group: it doesn't count any more. The master can't be removed; make it step down first.",
		Example:     "  entrepot cluster remove c --yes",
		Annotations: destructive,
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("Take " + args[0] + " out of the group?"); err != nil {
			return err
		}
		return m.api.call(ctx, http.MethodDelete, "/cluster/members/"+element(args[0]), nil, nil, nil)
	})
}

func (p *program) clusterStepDownCommand() *cobra.Command {
	return p.managed(&cobra.Command{
		Use:   "step-down",
		Short: "Make the master let another node be it",
		Long: `Closes the master's store and gives its lock back, so that another node takes
over. Clients are cut off and come back to the next master; nothing that was
confirmed is lost. Without another node the old master takes over again after some
seconds.`,
		Example:     "  entrepot cluster step-down --yes",
		Annotations: destructive,
	}, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		if err := m.confirm("Move the master, and cut its clients off for a moment?"); err != nil {
			return err
		}
		var before api.ClusterStatus
		if err := m.api.call(ctx, http.MethodGet, "/cluster", nil, nil, &before); err != nil {
			return err
		}
		if err := m.api.call(ctx, http.MethodPost, "/cluster/step-down", nil, struct{}{}, nil); err != nil {
			return err
		}
		return m.awaitMaster(ctx, before)
	})
}

// awaitMaster waits for the next master and says who it is.
func (m *manage) awaitMaster(ctx context.Context, before api.ClusterStatus) error {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	for {
		var now api.ClusterStatus
		err := m.api.call(ctx, http.MethodGet, "/cluster", nil, nil, &now)
		if err == nil && now.Master != "" && now.Epoch > before.Epoch {
			_, err = fmt.Fprintf(m.p.out, "%s is the master, epoch %d\n", now.Master, now.Epoch)
			return err
		}
		select {
		case <-ctx.Done():
			return &timeoutError{before.Master + " has stepped down, and no other node took over yet"}
		case <-time.After(100 * time.Millisecond):
		}
	}
}
