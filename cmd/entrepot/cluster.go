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
	cmd.AddCommand(p.clusterStatusCommand(), p.clusterStepDownCommand())
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
