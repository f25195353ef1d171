package queue

import "testing"

func TestARingSettlesWhatNobodyKeepsWithoutAList(t *testing.T) {
	var r heldRing
	for range 3000 { // larger than what an empty ring keeps
		r.push(held{pos: 10})
	}
	if _, ok := r.take(5, heldOpen, heldSettled); !ok {
		t.Fatal("tag 5 is not there")
	}
	if n, bytes, ok := r.settleLoose(100); !ok || n != 99 || bytes != 990 {
		t.Fatalf("settled %d of %d bytes, %v; want 99 of 990", n, bytes, ok)
	}
	if n, _, ok := r.settleLoose(100); !ok || n != 0 {
		t.Fatalf("settled %d again, %v", n, ok)
	}
	r.push(held{q: &Queue{}, pos: 7})
	if n, _, ok := r.settleLoose(3001); ok || n != 0 || r.kept != 2901 {
		t.Fatalf("settled %d, %v, with one that a queue keeps; %d are left", n, ok, r.kept)
	}
	if got := r.takeThrough(nil, 3001, heldSettled); len(got) != 2901 || r.kept != 0 || r.buf != nil {
		t.Fatalf("took %d, %d are left", len(got), r.kept)
	}
	r.push(held{pos: 1}) // a ring of before may serve again, and is empty
	if n, bytes, ok := r.settleLoose(5000); !ok || n != 1 || bytes != 1 {
		t.Fatalf("settled %d of %d bytes, %v", n, bytes, ok)
	}
}
