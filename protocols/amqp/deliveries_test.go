package amqp

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The ring against a map: ids that wrap around, deliveries that stay while
// thousands behind them go, dispositions of any range.
func TestDeliveriesAreWhatAMapWouldHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]uint32{0, 7, 1<<32 - 5, 1<<31 - 3}).Draw(t, "start")
		d := deliveries{first: start}
		want := map[uint32]uint64{}
		next := start
		l := &link{}
		peak := 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				for range rapid.IntRange(1, 700).Draw(t, "sent") {
					if id := d.push(delivery{l, uint64(next)}); id != next {
						t.Fatalf("id %d, want %d", id, next)
					}
					want[next] = uint64(next)
					next++
				}
			case 1:
				if id := d.skip(); id != next {
					t.Fatalf("id %d, want %d", id, next)
				}
				next++
			case 2: // settle most of what is there, from the front
				keep := rapid.IntRange(2, 300).Draw(t, "keep")
				for i, id := range d.appendIn(nil, start, next-1) {
					if i%keep != 0 {
						d.settle(id)
						delete(want, id)
					}
				}
			default:
				first := start + uint32(rapid.IntRange(0, int(next-start)).Draw(t, "first"))
				last := first + uint32(rapid.IntRange(0, 500).Draw(t, "span"))
				var in []uint32
				for id := range want {
					if id-first <= last-first {
						in = append(in, id)
					}
				}
				slices.SortFunc(in, func(a, b uint32) int { return int(int32(a - b)) })
				if got := d.appendIn(nil, first, last); !slices.Equal(got, in) {
					t.Fatalf("from %d to %d there are %v, want %v", first, last, got, in)
				}
				for _, id := range in {
					if v := d.get(id); v.link != l || v.tag != want[id] {
						t.Fatalf("delivery %d is %+v", id, v)
					}
					d.settle(id)
					delete(want, id)
				}
			}
			if peak = max(peak, len(want)); d.open != len(want) {
				t.Fatalf("%d are open, want %d", d.open, len(want))
			}
		}
		if most := max(2*minSparse, 16*peak); len(d.ring) > most {
			t.Fatalf("a ring of %d for %d deliveries at most", len(d.ring), peak)
		}
	})
}
