package config

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Cluster is the group of nodes that are one broker to its clients: one of
// them, the master, serves.
type Cluster struct {
	Mode       string        `key:"mode" oneof:"alone shared" doc:"alone is one broker. shared: the nodes have one dataDir on storage that all of them reach, and who holds its lock is the master (ActiveMQ: shared file system master/slave)"`
	Node       string        `key:"node" doc:"this node's name, another one on each node; empty takes the machine's name"`
	Hostname   string        `key:"hostname" doc:"name or address at which the other nodes, and redirected clients, reach this one; empty takes the machine's name, or the listener's own address if it has one"`
	Nodes      []string      `key:"nodes" doc:"names or addresses of all nodes of the group: who passes clients through to the master"`
	Standby    string        `key:"standby" oneof:"proxy redirect refuse" doc:"what a node that isn't the master does with clients: pass them through to it, tell them where it is, or keep the ports closed (as ActiveMQ)"`
	SecretFile string        `key:"secretFile" doc:"file with the secret that all nodes of the group know, 16 characters or more; needed unless all nodes are on this machine"`
	LockPeriod time.Duration `key:"lockPeriod" doc:"how often the master proves that it still holds the lock; one that takes ten times as long ends it"`
}

func defaultCluster() Cluster {
	return Cluster{Mode: "alone", Standby: "proxy", LockPeriod: time.Second}
}

// Grouped reports whether the broker is one of several nodes.
func (c *Cluster) Grouped() bool { return c.Mode != "alone" }

// Local reports whether all nodes are on this machine.
func (c *Cluster) Local() bool {
	for _, n := range c.Nodes {
		if !isLoopback(n) {
			return false
		}
	}
	return true
}

func (v *validator) cluster(c *Config) {
	g := &c.Cluster
	v.duration("cluster.lockPeriod", g.LockPeriod, 100*time.Millisecond, time.Minute)
	if !g.Grouped() {
		return
	}
	for _, n := range g.Nodes {
		if _, _, err := net.SplitHostPort(n); err == nil || strings.ContainsAny(n, "/ ") || n == "" {
			v.fail("cluster.nodes", fmt.Sprintf("%q is not a name or an address", clip(n)), "leave the port out: broker-a.example.com or 192.0.2.1")
		}
	}
	if g.SecretFile == "" && !g.Local() {
		v.fail("cluster.secretFile", "is empty, and there are nodes on other machines",
			`name a file that is the same on all nodes; "openssl rand -hex 24" makes a good secret`)
	}
	if g.Standby != "refuse" {
		return
	}
	for _, uri := range c.Listeners {
		if strings.Contains(uri, ":0?") || strings.HasSuffix(uri, ":0") {
			v.fail("cluster.standby", fmt.Sprintf("refuse opens %s anew each time the node becomes the master, on another port", clip(uri)), "give the listener a port")
		}
	}
}

// Name is the node's name.
func (c *Cluster) Name() string {
	if c.Node != "" {
		return c.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}
