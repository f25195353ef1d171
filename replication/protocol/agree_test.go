package protocol

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

func TestLogsPartWhereTheFirstOfThemEndsTheirLastCommonEpoch(t *testing.T) {
	type starts = []log.EpochStart
	for _, test := range []struct {
		name   string
		ours   starts
		end    uint64
		theirs starts
		last   log.Position
		want   uint64
	}{
		{"an empty follower", starts{{Epoch: 2, Index: 1}}, 9, nil, log.Position{}, 0},
		{"a follower that lags", starts{{Epoch: 2, Index: 1}}, 9, starts{{Epoch: 2, Index: 1}}, log.Position{Epoch: 2, Index: 4}, 4},
		{"a follower with more of an old epoch", starts{{Epoch: 2, Index: 1}, {Epoch: 3, Index: 6}}, 9, starts{{Epoch: 2, Index: 1}}, log.Position{Epoch: 2, Index: 8}, 5},
		{"a follower with an epoch that came to nothing", starts{{Epoch: 2, Index: 1}, {Epoch: 4, Index: 6}}, 9, starts{{Epoch: 2, Index: 1}, {Epoch: 3, Index: 4}}, log.Position{Epoch: 3, Index: 8}, 3},
		{"a log that begins behind a snapshot", starts{{Epoch: 2, Index: 1}, {Epoch: 4, Index: 6}}, 9, nil, log.Position{Epoch: 4, Index: 7}, 7},
		{"nothing in common", starts{{Epoch: 5, Index: 40}}, 50, starts{{Epoch: 2, Index: 1}}, log.Position{Epoch: 2, Index: 8}, 0},
	} {
		if got := part(test.ours, log.Position{Epoch: 9, Index: test.end}, test.theirs, test.last); got != test.want {
			t.Errorf("%s: the logs agree up to %d, want %d", test.name, got, test.want)
		}
	}
}
