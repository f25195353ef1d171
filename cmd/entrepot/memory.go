package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

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

// headroom bounds what the process takes beyond what it uses. By itself the
// runtime lets the heap double before it collects: with a deep backlog, whose
// head and tail fill store.memory, most of that would be messages that nobody
// needs any more.
type headroom struct {
	floor   int64 // bytes that the runtime may always take
	ceiling int64 // bytes that it should never take, 0 for none
}

// headroomFor returns the headroom of a broker with so much memory for
// messages. A limit that the operator chose is left alone: false.
func headroomFor(messages config.Size, limit int64, origin string) (headroom, bool) {
	return headroom{floor: 2*int64(messages) + slack, ceiling: limit}, limit == 0 || origin == "container"
}

const (
	slack         = 64 << 20 // what a broker without messages and connections never needs
	adjustedEvery = time.Second
)

// limit is the memory limit while inUse bytes are in use. It stays well above:
// a collector that is always at its limit would do nothing else.
func (h headroom) limit(inUse int64) int64 {
	return lower(max(h.floor, inUse+inUse/2+slack), h.ceiling)
}

// keep adjusts the runtime's limit until ctx ends.
func (h headroom) keep(ctx context.Context) {
	tick := time.NewTicker(adjustedEvery)
	defer tick.Stop()
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	for last := int64(0); ; {
		metrics.Read(used)
		if limit := h.limit(int64(used[0].Value.Uint64() + used[1].Value.Uint64())); limit != last {
			debug.SetMemoryLimit(limit)
			last = limit
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
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
