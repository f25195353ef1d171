package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// demoNodes are the nodes of the group that "demo cluster" runs.
var demoNodes = []string{"a", "b", "c"}

// Ports of the first node; each further one is ten above.
const (
	demoStomp       = 61613
	demoConsole     = 8161
	demoReplication = 61619
	demoEtcdPeer    = 2380
	demoEtcdClient  = 2379
	demoStep        = 10
)

func (p *program) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Try something out on this machine",
		Long:    "Runs things to look at on this machine. Nothing of it is meant for production.",
		Example: "  entrepot demo cluster",
	}
	asGroup(cmd)
	dir := ""
	group := &cobra.Command{
		Use:   "cluster",
		Short: "Run a replicated group of three nodes",
		Long: `Runs three nodes of a replicated group on this machine until it is told to stop.
They listen for STOMP on 61613, 61623 and 61633 and have their consoles on 8161,
8171 and 8181. Clients may use any of them. Kill the process of the master, and
look what happens.`,
		Example: `  entrepot demo cluster
  entrepot cluster status --console 127.0.0.1:8171
  entrepot pub /queue/hello Hello --server 127.0.0.1:61633`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.demoCluster(cmd.Context(), dir) },
	}
	group.Flags().StringVar(&dir, "data-dir", "", "directory of the nodes' data; without it they are gone at the end")
	cmd.AddCommand(group)
	return cmd
}

// demoArguments are those of serve for the node at place i.
func demoArguments(dir string, i int) []string {
	at := func(port, i int) string { return "127.0.0.1:" + strconv.Itoa(port+i*demoStep) }
	var nodes, members []string
	for j, n := range demoNodes {
		nodes = append(nodes, n+"="+at(demoReplication, j))
		members = append(members, n+"="+at(demoEtcdPeer, j))
	}
	args := []string{
		"serve", "--data-dir", filepath.Join(dir, demoNodes[i]), "--console", at(demoConsole, i), "--listen", "stomp://" + at(demoStomp, i),
	}
	for _, s := range []string{
		"brokerName=demo", "log.format=text", "cluster.mode=replicated", "cluster.node=" + demoNodes[i], "cluster.nodes=" + strings.Join(nodes, " "),
		"cluster.etcd.members=" + strings.Join(members, " "), "cluster.etcd.client=" + at(demoEtcdClient, i), "cluster.lease=4s",
	} {
		args = append(args, "--set", s)
	}
	return args
}

// demoCluster runs the nodes until a signal, or until the last one has ended.
func (p *program) demoCluster(ctx context.Context, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "entrepot-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, stopSignals...)
	defer stop()
	out := &lineWriter{to: p.out}
	var running sync.WaitGroup
	defer running.Wait()
	defer stop() // of the others, if one can't be started
	for i, name := range demoNodes {
		node := exec.CommandContext(ctx, self, demoArguments(dir, i)...)
		node.Cancel = func() error { return node.Process.Signal(stopSignals[len(stopSignals)-1]) }
		node.SysProcAttr = guardedProcess()
		reader, writer := io.Pipe()
		node.Stdout, node.Stderr = writer, writer
		if err := node.Start(); err != nil {
			return fmt.Errorf("start node %s: %w", name, err)
		}
		running.Go(func() { out.copy(name, reader) })
		running.Go(func() {
			err := node.Wait()
			out.line(name, fmt.Sprintf("has ended (%v)", err))
			_ = writer.Close() // a pipe's never fails
		})
	}
	running.Wait()
	return nil
}

// lineWriter mixes the lines of several writers.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lineWriter) line(name, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.to, "%s | %s\n", name, text)
}

func (w *lineWriter) copy(name string, from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		w.line(name, lines.Text())
	}
	_, _ = io.Copy(io.Discard, from) // behind a line that is too long
}
