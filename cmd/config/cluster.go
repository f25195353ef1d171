package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Cluster is the group of nodes that are one broker to its clients: one of
// them, the master, serves.
type Cluster struct {
	Mode        string        `key:"mode" oneof:"alone shared replicated" doc:"alone is one broker. shared: the nodes have one dataDir on storage that all of them reach, and who holds its lock is the master (ActiveMQ: shared file system master/slave). replicated: each node has its own copy (ActiveMQ: replicatedLevelDB)"`
	Node        string        `key:"node" doc:"this node's name, another one on each node; empty takes the machine's name"`
	Hostname    string        `key:"hostname" doc:"name or address at which the other nodes, and redirected clients, reach this one; empty takes the machine's name, or the listener's own address if it has one"`
	Nodes       []string      `key:"nodes" doc:"all nodes of the group, the same on each: names or addresses if they share a directory; NODE=HOST:PORT, with the port for replication, if they replicate"`
	Replicas    int           `key:"replicas" doc:"how many nodes hold a copy; 0 takes the number of nodes, and anything else has to be it"`
	Bind        string        `key:"bind" doc:"where the node listens for replication, such as tcp://0.0.0.0:61619; empty takes its port in cluster.nodes, on this machine's own address if all nodes are on it"`
	Sync        string        `key:"sync" oneof:"quorum_disk quorum_mem local_disk local_mem" doc:"when a replicated message counts as safe: a majority has it on disk or in memory, or the master alone has (which a failover may lose)"`
	Weight      int           `key:"weight" doc:"of nodes that have the same data the one with the greatest weight becomes the master"`
	PreferAfter time.Duration `key:"preferAfter" doc:"a node of a greater weight takes over from the master when it has been in sync for so long; 0: only when the master ends"`
	Lease       time.Duration `key:"lease" doc:"how long a master that nobody hears of stays it (replicatedLevelDB: zkSessionTimeout)"`
	Path        string        `key:"zkPath" doc:"prefix of the group's keys in etcd"`
	Standby     string        `key:"standby" oneof:"proxy redirect refuse" doc:"what a node that isn't the master does with clients: pass them through to it, tell them where it is, or keep the ports closed (as ActiveMQ)"`
	SecretFile  string        `key:"secretFile" doc:"file with the secret that all nodes of the group know, 16 characters or more; needed unless all nodes are on this machine"`
	Guardian    bool          `key:"guardian" doc:"start the broker from a small process that gives its lease back when it is killed or crashes (Linux, replicated)"`
	LockPeriod  time.Duration `key:"lockPeriod" doc:"how often the master proves that it still holds the lock of a shared directory; one that takes ten times as long ends it"`
	Etcd        Etcd          `key:"etcd"`
}

// Etcd is where a replicated group keeps who is master.
type Etcd struct {
	Endpoints    []string `key:"endpoints" doc:"addresses of an etcd that is there already; empty runs one inside the nodes"`
	User         string   `key:"user" doc:"user of that etcd"`
	PasswordFile string   `key:"passwordFile" doc:"file with the user's password"`
	Certificate  string   `key:"certificate" doc:"client certificate for that etcd, a PEM file"`
	Key          string   `key:"key" doc:"the certificate's key, a PEM file"`
	CA           string   `key:"ca" doc:"who signed that etcd's certificates, a PEM file; empty with https endpoints trusts the machine's authorities"`
	Members      []string `key:"members" doc:"the nodes that run the etcd inside, NODE=HOST:PORT; empty takes all nodes' hosts and port 2380. Three or five, the same on each node"`
	Join         []string `key:"join" doc:"client addresses of members of the group's running etcd: a node without etcd data joins there instead of founding one. Needed on nodes that are added, or got a new disk; without effect on others"`
	Client       string   `key:"client" doc:"host:port at which the etcd inside this node listens for clients; empty takes port 2379, on this machine's own address if all nodes are on it"`
	PeerBind     string   `key:"peerBind" doc:"host:port at which it listens for its other members; empty takes the address of its entry in members"`
}

// ReplicationPort is the port of replication where none is given.
const ReplicationPort = "61619"

func defaultCluster() Cluster {
	return Cluster{
		Mode: "alone", Standby: "proxy", LockPeriod: time.Second, Sync: "quorum_disk", Weight: 1, Guardian: true, Lease: 8 * time.Second,
		PreferAfter: 30 * time.Second,
		Path:        "/entrepot",
	}
}

// Peer is a node and where it is reached.
type Peer struct{ Node, Host, Port string }

// Address is host:port.
func (p Peer) Address() string { return net.JoinHostPort(p.Host, p.Port) }

// parsePeer reads NODE=HOST[:PORT].
func parsePeer(text, port string) (Peer, error) {
	node, at, ok := strings.Cut(text, "=")
	if !ok || node == "" || at == "" || strings.ContainsAny(text, "/ ") {
		return Peer{}, fmt.Errorf("%q is not NODE=HOST:PORT", clip(text))
	}
	if host, given, err := net.SplitHostPort(at); err == nil {
		return Peer{node, host, given}, nil
	}
	return Peer{node, strings.Trim(at, "[]"), port}, nil
}

// Grouped reports whether the broker is one of several nodes.
func (c *Cluster) Grouped() bool { return c.Mode != "alone" }

// Replicated reports whether each node has its own copy.
func (c *Cluster) Replicated() bool { return c.Mode == "replicated" }

// Peers are the nodes of a replicated group. Entries that are none are left out.
func (c *Cluster) Peers() []Peer { return peers(c.Nodes, ReplicationPort) }

func peers(entries []string, port string) (all []Peer) {
	for _, e := range entries {
		if p, err := parsePeer(e, port); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// EtcdMembers are the nodes that run etcd inside.
func (c *Cluster) EtcdMembers() []Peer {
	const port = "2380"
	if len(c.Etcd.Members) > 0 {
		return peers(c.Etcd.Members, port)
	}
	all := c.Peers()
	for i := range all {
		all[i].Port = port
	}
	return all
}

// EtcdClient is where the etcd inside this node listens for clients.
func (c *Cluster) EtcdClient() string {
	const port = "2379"
	switch {
	case c.Etcd.Client != "":
		return c.Etcd.Client
	case c.Local():
		return net.JoinHostPort("127.0.0.1", port)
	}
	return net.JoinHostPort("0.0.0.0", port)
}

// Hosts are the names or addresses of all nodes.
func (c *Cluster) Hosts() []string {
	if !c.Replicated() {
		return c.Nodes
	}
	var hosts []string
	for _, p := range c.Peers() {
		hosts = append(hosts, p.Host)
	}
	return hosts
}

// BindAddress is the host:port at which the node listens for replication.
func (c *Cluster) BindAddress() (string, error) {
	if c.Bind != "" {
		u, err := url.Parse(c.Bind)
		if err == nil && u.Scheme == "tcp" && u.Port() != "" {
			return u.Host, nil
		}
		if _, _, err := net.SplitHostPort(c.Bind); err != nil || strings.Contains(c.Bind, "/") {
			return "", fmt.Errorf("%q is neither tcp://HOST:PORT nor HOST:PORT", clip(c.Bind))
		}
		return c.Bind, nil
	}
	for _, p := range c.Peers() {
		if p.Node != c.Name() {
			continue
		}
		if c.Local() {
			return p.Address(), nil
		}
		return net.JoinHostPort("", p.Port), nil
	}
	return "", fmt.Errorf("this node, %q, is none of cluster.nodes", c.Name())
}

// Local reports whether all nodes are on this machine.
func (c *Cluster) Local() bool {
	for _, h := range c.Hosts() {
		if !isLoopback(h) {
			return false
		}
	}
	return true
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

func (v *validator) cluster(c *Config) {
	g := &c.Cluster
	v.duration("cluster.lockPeriod", g.LockPeriod, 100*time.Millisecond, time.Minute)
	v.duration("cluster.lease", g.Lease, 2*time.Second, time.Minute)
	v.number("cluster.weight", g.Weight, 0, 1000)
	if g.PreferAfter != 0 {
		v.duration("cluster.preferAfter", g.PreferAfter, time.Second, 24*time.Hour)
	}
	if !g.Grouped() {
		return
	}
	if g.Replicated() {
		v.replicated(g)
	} else {
		for _, n := range g.Nodes {
			if _, _, err := net.SplitHostPort(n); err == nil || strings.ContainsAny(n, "/= ") || n == "" {
				v.fail("cluster.nodes", fmt.Sprintf("%q is not a name or an address", clip(n)), "leave the port out: broker-a.example.com or 192.0.2.1")
			}
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

// replicated checks a group whose nodes have a copy each.
func (v *validator) replicated(g *Cluster) {
	v.peers("cluster.nodes", g.Nodes)
	v.peers("cluster.etcd.members", g.Etcd.Members)
	if g.Replicas != 0 && g.Replicas != len(g.Nodes) {
		v.fail("cluster.replicas", fmt.Sprintf("%d, and cluster.nodes has %d", g.Replicas, len(g.Nodes)), "name all nodes, or leave replicas out")
	}
	if _, err := g.BindAddress(); err != nil {
		v.fail("cluster.bind", err.Error(), "cluster.node has to be one of cluster.nodes")
	}
	if len(g.Etcd.Endpoints) > 0 {
		return
	}
	for _, a := range g.Etcd.Join {
		if _, _, err := net.SplitHostPort(a); err != nil || strings.Contains(a, "/") {
			v.fail("cluster.etcd.join", fmt.Sprintf("%q is not HOST:PORT", clip(a)), "write for example broker-a.example.com:2379")
		}
	}
	switch n := len(g.EtcdMembers()); {
	case n == 2 && len(g.Etcd.Join) == 0:
		v.fail("cluster.etcd", "two nodes can't outvote each other: with one of them gone nothing works",
			"take three nodes, or name an etcd that is there already in cluster.etcd.endpoints")
	case n > 7:
		v.fail("cluster.etcd.members", fmt.Sprintf("%d members only make it slower", n), "name three or five of the nodes")
	}
	if _, _, err := net.SplitHostPort(g.EtcdClient()); err != nil {
		v.fail("cluster.etcd.client", fmt.Sprintf("%q is not HOST:PORT", clip(g.Etcd.Client)), "write for example 0.0.0.0:2379")
	}
}

func (v *validator) peers(key string, entries []string) {
	seen := map[string]bool{}
	for _, e := range entries {
		p, err := parsePeer(e, ReplicationPort)
		switch {
		case err != nil:
			v.fail(key, err.Error(), "write for example a=broker-a.example.com:61619")
		case seen[p.Node]:
			v.fail(key, fmt.Sprintf("%q is there twice", p.Node), "give each node a name of its own")
		}
		seen[p.Node] = true
	}
	if key == "cluster.nodes" && len(entries) == 0 {
		v.fail(key, "is empty", "name all nodes: a=broker-a.example.com:61619 and so on")
	}
}
