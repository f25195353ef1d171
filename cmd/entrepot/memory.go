package main

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// cgroupShare is the part of a container's memory that the Go runtime may
// take; the rest is for what it doesn't count: mapped files, stacks, the
// kernel's buffers of the container.
const cgroupShare = 0.8

// limitMemory sets the runtime's memory limit and returns it with where it
// came from; 0 if there is none. GOMEMLIMIT, which the runtime reads itself,
// wins.
func (p *program) limitMemory(configured config.Size) (limit int64, origin string) {
	if p.getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1), "GOMEMLIMIT"
	}
	limit, origin = int64(configured), "memory.limit"
	if limit == 0 {
		limit, origin = int64(cgroupShare*float64(cgroupLimit("/"))), "container"
	}
	if limit == 0 {
		return 0, ""
	}
	debug.SetMemoryLimit(limit)
	return limit, origin
}

// cgroupLimit returns the memory limit in bytes of the control group that the
// process is in, or of one above it; 0 if there is none. root is / but in
// tests.
func cgroupLimit(root string) int64 {
	f, err := os.Open(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	defer f.Close()
	var least int64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		_, rest, _ := strings.Cut(lines.Text(), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case controllers == "": // version 2
			least = lower(least, groupLimit(filepath.Join(root, "sys/fs/cgroup"), group, "memory.max"))
		case controllers == "memory": // version 1
			least = lower(least, groupLimit(filepath.Join(root, "sys/fs/cgroup/memory"), group, "memory.limit_in_bytes"))
		}
	}
	return least
}

// groupLimit returns the lowest limit of group and the groups above it.
func groupLimit(mount, group, file string) int64 {
	var least int64
	for dir := filepath.Clean("/" + group); ; dir = filepath.Dir(dir) {
		if b, err := os.ReadFile(filepath.Join(mount, dir, file)); err == nil {
			// "max" and the huge number that version 1 has for no limit mean none.
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n < 1<<60 {
				least = lower(least, n)
			}
		}
		if dir == "/" {
			return least
		}
	}
}

// lower returns the smaller of two limits, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
