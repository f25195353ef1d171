package replication

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
	"github.com/entrepot-mq/entrepot/election"
)

// Damaged reports whether err says that a store doesn't hold what was written to it, so that opening it again is pointless and
// another node's copy has to replace it. What a newer release wrote is not damaged.
func Damaged(err error) bool {
	if d, ok := errors.AsType[*log.DamageError](err); ok {
		return !d.Newer
	}
	if d, ok := errors.AsType[*store.MismatchError](err); ok {
		return !d.Newer
	}
	_, ok := errors.AsType[*pages.DamageError](err)
	return ok
}

// MayRebuild returns an error if a node must not set its store aside, even if it is damaged: no other node has what it has.
func MayRebuild(node string, c *election.Configuration) error {
	for _, m := range c.InSync {
		if m.Node != node {
			return nil
		}
	}
	return fmt.Errorf("no other node is in sync, so this one's store is the only copy: mend it with \"entrepot store repair\", "+
		"or restore the directory from a backup (in sync: %v)", c.InSync)
}

// keptAside is how many stores that were set aside a directory keeps: a disk that goes bad again and again must not be filled with them.
const keptAside = 2

const asidePrefix = "quarantine-"

// SetAside moves a store that can't be used as it is out of the way, for people to look at, into a directory beside it that
// it returns; of those, the last two are kept. The node joins anew with nothing, as another incarnation (Identity.Forgets).
func SetAside(dir string, logger *slog.Logger) (string, error) {
	to := filepath.Join(dir, asidePrefix+time.Now().UTC().Format("20060102-150405.000"))
	if err := os.MkdirAll(to, 0o700); err != nil {
		return "", err
	}
	for _, part := range storeParts {
		if err := os.Rename(filepath.Join(dir, part), filepath.Join(to, part)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return to, err
		}
	}
	return to, errors.Join(syncDir(dir), forgetAside(dir, logger))
}

// forgetAside removes all but the last stores that were set aside.
func forgetAside(dir string, logger *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var aside []string // in order of time, as their names are
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), asidePrefix) {
			aside = append(aside, e.Name())
		}
	}
	slices.Sort(aside)
	for ; len(aside) > keptAside; aside = aside[1:] {
		logger.Warn("removes a store that was set aside: newer ones are kept", "directory", aside[0])
		if err := os.RemoveAll(filepath.Join(dir, aside[0])); err != nil {
			return err
		}
	}
	return nil
}
