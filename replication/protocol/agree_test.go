package protocol

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

func TestLogsPartWhereTheFirstOfThemEndsTheirLastCommonEpoch(t *testing.T) {
	type starts = []log.EpochStart
	at := func(pairs ...uint64) starts {
		var s starts
		for i := 0; i < len(pairs); i += 2 {
			s = append(s, log.EpochStart{Epoch: pairs[i], Index: pairs[i+1]})
		}
		return s
	}
	for _, test := range []struct {
		name   string
		ours   starts
		end    uint64
		theirs starts
		last   log.Position
		want   uint64
	}{
		{"an empty follower", at(2, 1), 9, nil, log.Position{}, 0},
		{"a follower that lags", at(2, 1), 9, at(2, 1), log.Position{Epoch: 2, Index: 4}, 4},
		{"a follower with more of an old epoch", at(2, 1, 3, 6), 9, at(2, 1), log.Position{Epoch: 2, Index: 8}, 5},
		{"a follower with an epoch that came to nothing", at(2, 1, 4, 6), 9, at(2, 1, 3, 4), log.Position{Epoch: 3, Index: 8}, 3},
		{"a log that begins behind a snapshot", at(2, 1, 4, 6), 9, nil, log.Position{Epoch: 4, Index: 7}, 7},
		{"nothing in common", at(5, 40), 50, at(2, 1), log.Position{Epoch: 2, Index: 8}, 0},
	} {
		if got := part(test.ours, log.Position{Epoch: 9, Index: test.end}, test.theirs, test.last); got != test.want {
			t.Errorf("%s: the logs agree up to %d, want %d", test.name, got, test.want)
		}
	}
}
