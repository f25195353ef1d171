package queue

import "slices"

// seqHeap is a min-heap of seqs.
type seqHeap []uint64

func (h *seqHeap) push(seq uint64) {
	*h = append(*h, seq)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up] <= s[i] {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

// pop removes the smallest seq, which is the heap's first element.
func (h *seqHeap) pop() {
	s := *h
	n := len(s) - 1
	s[0] = s[n]
	s = s[:n]
	*h = s
	for i := 0; ; {
		down := 2*i + 1
		if down >= n {
			return
		}
		if down+1 < n && s[down+1] < s[down] {
			down++
		}
		if s[i] <= s[down] {
			return
		}
		s[i], s[down] = s[down], s[i]
		i = down
	}
}

// prune removes duplicates and seqs that aren't wanted.
func (h *seqHeap) prune(wanted func(seq uint64) bool) {
	slices.Sort(*h) // a sorted slice is a heap
	*h = slices.DeleteFunc(slices.Compact(*h), func(seq uint64) bool { return !wanted(seq) })
}
