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
