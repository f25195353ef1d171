package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/entrepot-mq/entrepot/election"
)

// memoryStep is how far etcd's revision gets ahead of the file. A copy of
// etcd's data that is younger than that, put back while this node was down, isn't
// noticed by its revision; the promises and floors of nodes are the second net.
const memoryStep = 64

// memory knows which etcd was believed and how far it was.
type memory struct {
	file string

	mu      sync.Mutex
	now     remembered
	stored  int64 // revision in the file
	rewound error // once it went back
}

type remembered struct {
	Cluster  uint64 `json:"cluster"`
	Revision int64  `json:"revision"`
}

func openMemory(file string) (*memory, error) {
	m := &memory{file: file}
	if file == "" {
		return m, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &m.now); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	m.stored = m.now.Revision
	return m, nil
}

// mark is how far etcd was before a request: its answer can't be older.
func (m *memory) mark() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.Revision
}

// believed returns why etcd isn't believed any more, if so.
func (m *memory) believed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rewound
}

// check looks at the head of an answer to a request that began at mark. Once
// etcd went back in time it stays unbelieved until forget.
func (m *memory) check(mark int64, cluster uint64, revision int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rewound != nil {
		return m.rewound
	}
	switch {
	case m.now.Cluster != 0 && cluster != m.now.Cluster:
		m.rewound = fmt.Errorf("%w: it was cluster %x and is %x", election.ErrRewound, m.now.Cluster, cluster)
		return m.rewound
	case revision < mark:
		m.rewound = fmt.Errorf("%w: it was at revision %d and is at %d", election.ErrRewound, mark, revision)
		return m.rewound
	}
	first := m.now.Cluster == 0
	m.now.Cluster, m.now.Revision = cluster, max(m.now.Revision, revision)
	if m.file == "" || !first && m.now.Revision < m.stored+memoryStep {
		return nil
	}
	return m.store()
}

// store writes the file. It needs no sync: what a crash loses makes it only
// less strict.
func (m *memory) store() error {
	text, err := json.Marshal(m.now)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.file), 0o700); err != nil {
		return err
	}
	next := m.file + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember how far etcd is: %w", err)
	}
	if err := os.Rename(next, m.file); err != nil {
		return fmt.Errorf("remember how far etcd is: %w", err)
	}
	m.stored = m.now.Revision
	return nil
}

func (m *memory) forget() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.stored, m.rewound = remembered{}, 0, nil
	if m.file == "" {
		return nil
	}
	if err := os.Remove(m.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
