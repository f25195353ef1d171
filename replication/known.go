package replication

import (
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Known returns what the directory of a node that isn't running remembers: its
// promises, and the last configuration of the group that it has seen. ok is false
// if it never was a node's.
func Known(dir string) (h protocol.Hard, ok bool, err error) {
	c, ok, err := readHard(disk.OS{}, dir)
	return c.Hard, ok, err
}
