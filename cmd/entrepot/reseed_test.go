package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

func TestTheLaterConfigurationIsPutBackAboveEveryKnownPromise(t *testing.T) {
	at := func(epoch, version uint64, master string) election.Configuration {
		return election.Configuration{Epoch: epoch, Version: version, Master: master}
	}
	for name, c := range map[string]struct {
		stored election.Configuration
		known  protocol.Hard
		want   election.Configuration
	}{
		"etcd is empty":               {at(0, 0, ""), protocol.Hard{Promised: 4, Config: at(4, 9, "a")}, at(4, 10, "a")},
		"etcd is older":               {at(3, 12, "b"), protocol.Hard{Promised: 4, Config: at(4, 9, "a")}, at(4, 13, "a")},
		"etcd is older in the epoch":  {at(4, 8, "b"), protocol.Hard{Promised: 4, Config: at(4, 9, "a")}, at(4, 10, "a")},
		"etcd knows better":           {at(5, 20, "b"), protocol.Hard{Promised: 4, Config: at(4, 9, "a")}, at(5, 21, "b")},
		"a promise was not redeemed":  {at(4, 9, "a"), protocol.Hard{Promised: 7, Config: at(4, 9, "a")}, at(7, 10, "a")},
		"all is as it was: once more": {at(4, 9, "a"), protocol.Hard{Promised: 4, Config: at(4, 9, "a")}, at(4, 10, "a")},
	} {
		if diff := cmp.Diff(c.want, reseeded(&c.stored, &c.known)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
