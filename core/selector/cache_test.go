package selector

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestEqualSelectorsAreTheSamePointer(t *testing.T) {
	var c Cache
	a, err := c.Parse("x = 1", Options{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	b, _ := c.Parse("x = 1", Options{})
	other, _ := c.Parse("x = 2", Options{})
	converting, _ := c.Parse("x = 1", Options{ConvertStrings: true})
	if a != b || a == other || a == converting {
		t.Errorf("%p %p %p %p", a, b, other, converting)
	}
	if _, err := c.Parse("x =", Options{}); err == nil || c.Len() != 3 {
		t.Errorf("error %v, %d selectors", err, c.Len())
	}
}

func TestCacheForgetsWhatNobodyHolds(t *testing.T) {
	var c Cache
	kept, _ := c.Parse("kept", Options{})
	for i := range 1000 {
		if _, err := c.Parse(fmt.Sprintf("x = %d", i), Options{}); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(60 * time.Second)
	for c.Len() > 1 {
		if time.Now().After(deadline) {
			t.Fatalf("%d selectors are kept", c.Len())
		}
		runtime.GC()
		runtime.Gosched()
	}
	if again, _ := c.Parse("kept", Options{}); again != kept {
		t.Error("a selector in use was forgotten")
	}
}

func TestCacheIsSafeForConcurrentUse(t *testing.T) {
	var c Cache
	var wg sync.WaitGroup
	kept := make([][10]*Selector, 8)
	for g := range kept {
		wg.Go(func() {
			for i := range 1000 {
				s, err := c.Parse(fmt.Sprintf("x = %d", i%10), Options{})
				if err != nil {
					t.Error(err)
				}
				if old := kept[g][i%10]; old != nil && old != s {
					t.Error("the selector changed while it was held")
				}
				kept[g][i%10] = s
			}
		})
	}
	wg.Wait()
	for _, k := range kept {
		if k != kept[0] {
			t.Error("two goroutines have different selectors of one text")
		}
	}
}
