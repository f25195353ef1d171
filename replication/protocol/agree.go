package protocol

import "github.com/entrepot-mq/entrepot/core/store/log"

// part is where a log whose epochs are theirs and that ends at last agrees, at most, with one whose epochs are ours and that
// ends at end. Both have exactly the same frames of an epoch, as far as they have them: one master wrote them. So
// the logs agree up to where the first of them ends the last epoch that both have. Without one they agree at most on
// what they no longer have, 0.
func part(ours []log.EpochStart, end log.Position, theirs []log.EpochStart, last log.Position) uint64 {
	if len(theirs) == 0 && last.Index > 0 { // a log that begins behind a snapshot
		theirs = []log.EpochStart{{Epoch: last.Epoch, Index: last.Index}}
	}
	i, j := len(ours)-1, len(theirs)-1
	ourEnd, theirEnd := end.Index, last.Index
	for i >= 0 && j >= 0 {
		a, b := ours[i], theirs[j]
		switch {
		case a.Epoch == b.Epoch:
			return min(ourEnd, theirEnd)
		case a.Epoch > b.Epoch:
			ourEnd = a.Index - 1
			i--
		default:
			theirEnd = b.Index - 1
			j--
		}
	}
	return 0
}
