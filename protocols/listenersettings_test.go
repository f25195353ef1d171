package protocols

import (
	"errors"
	"testing"
)

func TestAListenersOptionsAreReadOnce(t *testing.T) {
	var s ListenerSettings[string]
	reads := 0
	read := func(v Values) (string, error) {
		reads++
		if v["k"] == "bad" {
			return "", errors.New("bad")
		}
		return v["k"], nil
	}
	for _, k := range []string{"a", "b", "a", "b"} {
		if set, err := s.Of(Values{"k": k}, read); err != nil || *set != k {
			t.Errorf("%s: got %v, %v", k, set, err)
		}
	}
	if reads != 2 {
		t.Errorf("two listeners' options were read %d times", reads)
	}
	for range 2 {
		if set, err := s.Of(Values{"k": "bad"}, read); err == nil || set != nil {
			t.Errorf("got %v, %v", set, err)
		}
	}
}
