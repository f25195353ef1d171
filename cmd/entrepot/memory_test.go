package main

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

func TestHeadroomFollowsWhatIsInUseBetweenItsBounds(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name             string
		messages         config.Size
		limit            int64
		origin           string
		adjusted         bool
		inUse, wantLimit int64
	}{
		{"idle", 96 * mib, 0, "", true, 10 * mib, 256 * mib},
		{"much in use", 96 * mib, 0, "", true, 400 * mib, 664 * mib},
		{"a container's limit", 96 * mib, 300 * mib, "container", true, 400 * mib, 300 * mib},
		{"far below a container's limit", 96 * mib, 8192 * mib, "container", true, 10 * mib, 256 * mib},
		{"chosen by the operator", 96 * mib, 300 * mib, "memory.limit", false, 0, 0},
		{"chosen in the environment", 96 * mib, math.MaxInt64, "GOMEMLIMIT", false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, adjusted := headroomFor(c.messages, c.limit, c.origin)
			if adjusted != c.adjusted {
				t.Fatalf("adjusted: %v", adjusted)
			}
			if got := h.limit(c.inUse); adjusted && got != c.wantLimit {
				t.Errorf("limit %d MiB, want %d", got/mib, c.wantLimit/mib)
			}
		})
	}
}

func TestHeadroomIsKeptUntilTheBrokerEnds(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			headroom{floor: 1 << 40}.keep(ctx)
		}()
		time.Sleep(3 * adjustedEvery)
		if got := debug.SetMemoryLimit(-1); got != 1<<40 {
			t.Errorf("the limit is %d", got)
		}
		cancel()
		<-ended
	})
}
