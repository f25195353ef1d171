package config

import (
	"strings"
	"testing"
)

func TestSettingsOfAGroupThatCanNotWorkAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error, "" for none
	}{
		{"a group on one machine", func(c *Config) { c.Cluster.Nodes = []string{"127.0.0.1", "localhost"} }, ""},
		{"a group without a secret", func(c *Config) { c.Cluster.Nodes = []string{"127.0.0.1", "b.example"} }, "cluster.secretFile"},
		{"a group with a secret", func(c *Config) { c.Cluster.Nodes, c.Cluster.SecretFile = []string{"a", "b"}, "f" }, ""},
		{"ports in names", func(c *Config) { c.Cluster.Nodes, c.Cluster.SecretFile = []string{"b:61613"}, "f" }, "cluster.nodes"},
		{"an empty name", func(c *Config) { c.Cluster.Nodes, c.Cluster.SecretFile = []string{""}, "f" }, "cluster.nodes"},
		{"a period that is too short", func(c *Config) { c.Cluster.LockPeriod = 1 }, "cluster.lockPeriod"},
		{"closed ports that would change", func(c *Config) { c.Cluster.Standby, c.Listeners = "refuse", []string{"stomp://127.0.0.1:0"} }, "cluster.standby"},
		{"three nodes that replicate", replicate("a=127.0.0.1:1", "b=127.0.0.1:2", "c=127.0.0.1:3"), ""},
		{"two nodes", replicate("a=127.0.0.1:1", "b=127.0.0.1:2"), "cluster.etcd"},
		{"two nodes and an etcd", func(c *Config) {
			replicate("a=127.0.0.1:1", "b=127.0.0.1:2")(c)
			c.Cluster.Etcd.Endpoints = []string{"http://127.0.0.1:9"}
		}, ""},
		{"a node without a name", replicate("127.0.0.1:1", "a=127.0.0.1:2"), "cluster.nodes"},
		{"a node twice", replicate("a=127.0.0.1:1", "a=127.0.0.1:2", "b=127.0.0.1:3"), "twice"},
		{"this node isn't there", replicate("x=127.0.0.1:1", "y=127.0.0.1:2", "z=127.0.0.1:3"), "cluster.bind"},
		{"nodes elsewhere", replicate("a=a.example", "b=b.example", "c=c.example"), "cluster.secretFile"},
		{"another number of replicas", func(c *Config) {
			replicate("a=127.0.0.1:1", "b=127.0.0.1:2", "c=127.0.0.1:3")(c)
			c.Cluster.Replicas = 2
		}, "cluster.replicas"},
		{"closed ports", func(c *Config) { c.Cluster.Standby = "refuse" }, ""},
	} {
		c := Default()
		c.Cluster.Mode = "shared"
		test.change(&c)
		err := c.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func replicate(nodes ...string) func(*Config) {
	return func(c *Config) { c.Cluster.Mode, c.Cluster.Node, c.Cluster.Nodes = "replicated", "a", nodes }
}

func TestWhereNodesAre(t *testing.T) {
	for _, test := range []struct{ nodes, bind, want, etcd string }{
		{"a=127.0.0.1:7 b=127.0.0.1:8", "", "127.0.0.1:7", "127.0.0.1:2380"},
		{"a=h.example b=i.example:9", "", ":61619", "h.example:2380"},
		{"a=[2001:db8::1]:7", "", ":7", "[2001:db8::1]:2380"},
		{"a=h.example", "tcp://0.0.0.0:5", "0.0.0.0:5", "h.example:2380"},
		{"a=h.example", "192.0.2.1:5", "192.0.2.1:5", "h.example:2380"},
	} {
		c := Cluster{Mode: "replicated", Node: "a", Nodes: strings.Fields(test.nodes), Bind: test.bind}
		got, err := c.BindAddress()
		if err != nil || got != test.want {
			t.Errorf("%q %q: listens on %q, %v, want %q", test.nodes, test.bind, got, err, test.want)
		}
		if got := c.EtcdMembers()[0].Address(); got != test.etcd {
			t.Errorf("%q: etcd is at %q, want %q", test.nodes, got, test.etcd)
		}
	}
	c := Cluster{Mode: "replicated", Node: "a", Bind: "udp://x"}
	if _, err := c.BindAddress(); err == nil {
		t.Error("a bind that is none was taken")
	}
}
