package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// Shape is what a group is made of.
type Shape struct {
	Program  harness.Program
	Dir      string              // of all nodes' data
	Lease    time.Duration       // of the master
	Etcd     string              // host:port of an etcd elsewhere; "" runs one inside the nodes
	Settings []string            // key=value, of each node
	Own      map[string][]string // the same, of one node
	Direct   bool                // no links that can be cut: what is measured doesn't go through a proxy
}

// Group is several nodes of one broker.
type Group struct {
	Nodes []*Node
	Links []*Link // for replication, in each direction
	Etcd  []*Link // of each node to an etcd elsewhere
	Lease time.Duration
}

// Node is a node that may run or not.
type Node struct {
	Name     string
	Stomp    string // host:port, the same in all its lives
	MQTT     string // likewise
	AMQP     string // likewise
	OpenWire string // likewise
	Etcd     string // host:port of the etcd inside for clients

	options harness.Options
	mu      sync.Mutex
	broker  *harness.Broker
	logs    []string // of former lives
}

// Status is what a node says of itself.
type Status struct {
	Role    string  `json:"role"`
	Master  string  `json:"master"`
	Epoch   uint64  `json:"epoch"`
	Members []Copy  `json:"members"`
	Lease   float64 `json:"leaseSeconds"`
	Copy    struct {
		Quorum int `json:"quorum"`
	} `json:"copy"`
}

// Copy is what the master knows of a node's copy.
type Copy struct {
	Node   string `json:"node"`
	InSync bool   `json:"inSync"`
	Etcd   string `json:"etcd"`
}

// New makes a group of three; nothing is started.
func New(shape Shape) (*Group, error) {
	names := []string{"a", "b", "c"}
	free, err := harness.FreeAddresses(7 * len(names))
	if err != nil {
		return nil, err
	}
	secret := filepath.Join(shape.Dir, "group.secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		return nil, err
	}
	var members []string
	for i, n := range names {
		members = append(members, n+"="+free[7*i+1])
	}
	g := &Group{Lease: shape.Lease}
	for i, n := range names {
		var nodes []string // as this one reaches them
		for j, to := range names {
			address := free[7*j]
			if i != j && !shape.Direct {
				link, err := newLink(n, to, address)
				if err != nil {
					return nil, err
				}
				g.Links = append(g.Links, link)
				address = link.Address
			}
			nodes = append(nodes, to+"="+address)
		}
		own := append([]string{
			"brokerName=group", "cluster.mode=replicated", "cluster.node=" + n, "cluster.nodes=" + strings.Join(nodes, " "),
			"cluster.lease=" + shape.Lease.String(), "cluster.secretFile=" + secret,
			"store.segmentSize=8MiB", "log.level=info",
		}, append(slices.Clone(shape.Settings), shape.Own[n]...)...)
		if shape.Etcd == "" {
			own = append(own, "cluster.etcd.members="+strings.Join(members, " "), "cluster.etcd.client="+free[7*i+2])
		} else {
			link, err := newLink(n, "etcd", shape.Etcd)
			if err != nil {
				return nil, err
			}
			g.Etcd = append(g.Etcd, link)
			own = append(own, "cluster.etcd.endpoints=http://"+link.Address)
		}
		stomp, mqtt, amqp, openWire := free[7*i+3], free[7*i+4], free[7*i+5], free[7*i+6]
		g.Nodes = append(g.Nodes, &Node{Name: n, Stomp: stomp, MQTT: mqtt, AMQP: amqp, OpenWire: openWire, Etcd: free[7*i+2], options: harness.Options{
			Program: shape.Program, Dir: filepath.Join(shape.Dir, n),
			Listen:   []string{"stomp://" + stomp, "mqtt://" + mqtt, "amqp://" + amqp, "tcp://" + openWire},
			Settings: own, Ready: 60 * time.Second,
		}})
	}
	return g, nil
}

// Start starts all nodes that don't run, and waits until each is ready.
func (g *Group) Start(ctx context.Context) error {
	errs := make([]error, len(g.Nodes))
	var starts sync.WaitGroup
	for i, n := range g.Nodes {
		starts.Go(func() { errs[i] = n.Start(ctx) })
	}
	starts.Wait()
	return errors.Join(errs...)
}

// Cut swallows what a node sends to the others for replication, what it
// receives from them, or both.
func (g *Group) Cut(node string, sends, receives bool) {
	for _, l := range g.Links {
		switch node {
		case l.From:
			l.Cut(sends, receives)
		case l.To:
			l.Cut(receives, sends)
		}
	}
}

// CutEtcd swallows what goes between nodes and an etcd elsewhere; without names
// that of all nodes.
func (g *Group) CutEtcd(nodes ...string) {
	for _, l := range g.Etcd {
		if len(nodes) == 0 || slices.Contains(nodes, l.From) {
			l.Cut(true, true)
		}
	}
}

// Mend ends all cuts.
func (g *Group) Mend() {
	for _, l := range slices.Concat(g.Links, g.Etcd) {
		l.Mend()
	}
}

// Close kills all nodes.
func (g *Group) Close() {
	for _, l := range slices.Concat(g.Links, g.Etcd) {
		l.Close()
	}
	for _, n := range g.Nodes {
		if b := n.Broker(); b != nil {
			b.Close()
		}
	}
}

// Start starts the node if it doesn't run.
func (n *Node) Start(ctx context.Context) error {
	if b := n.Broker(); b != nil {
		select {
		case <-b.Exited():
		default:
			return nil
		}
	}
	b, err := harness.Start(ctx, n.options)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broker != nil {
		n.logs = append(n.logs, n.broker.Log())
	}
	n.broker = b
	return nil
}

// Broker is the node's process, nil before its first start.
func (n *Node) Broker() *harness.Broker {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.broker
}

// Status asks the node.
func (n *Node) Status(ctx context.Context) (s Status, err error) {
	b := n.Broker()
	if b == nil {
		return s, errors.New("it does not run")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.Addr("console")+"/api/v1/cluster", nil)
	if err != nil {
		return s, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s)
}

// Master waits for a node that says that it is the master. Of two, one of which
// was paused and doesn't know better yet, it is the one of the later epoch.
func (g *Group) Master(ctx context.Context, timeout time.Duration) (m *Node, epoch uint64, err error) {
	err = harness.Until(ctx, timeout, "the group has a master", func() bool {
		for _, n := range g.Nodes {
			if s, err := n.Status(ctx); err == nil && s.Role == "master" && s.Epoch > epoch {
				m, epoch = n, s.Epoch
			}
		}
		return m != nil
	})
	return m, epoch, err
}

// Whole waits until all copies are in sync.
func (g *Group) Whole(ctx context.Context, timeout time.Duration) error {
	return harness.Until(ctx, timeout, "all copies are in sync", func() bool {
		for _, n := range g.Nodes {
			s, err := n.Status(ctx)
			if err != nil || s.Role != "master" {
				continue
			}
			in := 0
			for _, m := range s.Members {
				if m.InSync {
					in++
				}
			}
			return in == len(g.Nodes)
		}
		return false
	})
}

// Masters tells from the logs of all lives which nodes were masters, by epoch.
func (g *Group) Masters() (map[uint64][]string, error) {
	masters := map[uint64][]string{}
	for _, n := range g.Nodes {
		n.mu.Lock()
		logs := slices.Clone(n.logs)
		if n.broker != nil {
			logs = append(logs, n.broker.Log())
		}
		n.mu.Unlock()
		for line := range strings.Lines(strings.Join(logs, "\n")) {
			if !strings.Contains(line, `"this node is the master"`) {
				continue
			}
			var said struct {
				Epoch uint64 `json:"epoch"`
			}
			if err := json.Unmarshal([]byte(line), &said); err != nil || said.Epoch == 0 {
				return nil, fmt.Errorf("%s wrote %q: %w", n.Name, line, err)
			}
			masters[said.Epoch] = append(masters[said.Epoch], n.Name)
		}
	}
	return masters, nil
}

// KillBroker kills the broker's process and leaves its guardian alive, which
// ends then by itself.
func (n *Node) KillBroker() error {
	pid, err := childOf(n.Broker().Pid())
	if err != nil {
		return err
	}
	return errors.Join(syscall.Kill(pid, syscall.SIGKILL), n.ended())
}

// Kill kills guardian and broker at once, as the death of a machine does.
func (n *Node) Kill() error {
	pid, err := childOf(n.Broker().Pid())
	if err != nil {
		return err
	}
	err = errors.Join(n.Broker().Kill(), ignoreGone(syscall.Kill(pid, syscall.SIGKILL)))
	return errors.Join(err, gone(pid))
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// gone waits until a process has ended: its ports and locks are free then.
func gone(pid int) error {
	return harness.Until(context.Background(), 20*time.Second, "the broker's end", func() bool {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			return true
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		return strings.HasPrefix(rest, "Z") // nobody has asked for it yet
	})
}

func (n *Node) ended() error {
	_, err := n.Broker().Wait(20 * time.Second)
	return err
}

// Pause stops the broker, and its guardian keeps waiting for it.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) error {
	pid, err := childOf(n.Broker().Pid())
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

// childOf returns the process that a guardian started.
func childOf(parent int) (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("process %d has no child: is it a guardian?", parent)
}
