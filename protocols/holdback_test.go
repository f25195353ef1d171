package protocols

import (
	"slices"
	"testing"
)

func TestHeldSendsGoOnInTheirOrder(t *testing.T) {
	h := Holdback[int]{On: true}
	for i := range 5 {
		h.Keep(i, 10)
	}
	if !h.Full(5, 1000) || !h.Full(6, 50) || h.Full(6, 51) {
		t.Error("five sends of ten bytes are counted wrongly")
	}
	var sent []int
	send := func(i int) (wait bool) {
		sent = append(sent, i)
		return i == 1
	}
	h.Resume(send)
	if !h.On || !slices.Equal(sent, []int{0, 1}) || h.Full(4, 31) || !h.Full(4, 30) {
		t.Fatalf("sent %v, on: %v", sent, h.On)
	}
	h.Resume(send)
	if h.On || !slices.Equal(sent, []int{0, 1, 2, 3, 4}) || h.Full(1, 1) {
		t.Fatalf("sent %v, on: %v", sent, h.On)
	}
	h.On = true
	h.Keep(1, 10)
	h.Keep(7, 10)
	h.Flush(send)
	if h.On || !slices.Equal(sent[5:], []int{1, 7}) || h.Full(1, 1) {
		t.Errorf("flushed %v, on: %v", sent[5:], h.On)
	}
}
