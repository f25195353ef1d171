package broker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// MaxPage is the most that one page of a list holds.
const MaxPage = 500

// List asks for a page of a list.
type List struct {
	Offset int
	Limit  int    // up to MaxPage; 0 for 100
	Sort   string // one of the list's keys, "" for the name
	Desc   bool
	Filter string // part of a name, in any case; with a wildcard element, a pattern
	// Permit says of which destinations, or patterns of them, who asks may
	// know; nil permits all.
	Permit func(message.Destination) bool
}

// Listed is a page of a list.
type Listed[T any] struct {
	Items []T
	Total int // that the filter selects
}

// selects reports whether the filter selects a name.
func (l *List) selects(name string) bool {
	if l.Filter == "" {
		return true
	}
	if message.IsPattern(l.Filter) {
		return message.Matches(l.Filter, name)
	}
	return containsFold(name, l.Filter)
}

// containsFold is strings.Contains in any case; names without capitals cost
// no allocation.
func containsFold(name, part string) bool {
	return strings.Contains(name, part) || strings.Contains(strings.ToLower(name), strings.ToLower(part))
}

// row is what a list is sorted by: a number that is cheap to get, then the
// name.
type row[T any] struct {
	key  uint64
	name string
	item T
}

// page brings the rows of the page into their order and returns them. The
// others are only partitioned around it: a page costs one pass over the rows,
// not a sort of them all.
func page[T any](rows []row[T], l List) []row[T] {
	order := func(a, b row[T]) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			if l.Desc {
				return -c
			}
			return c
		}
		if l.Desc && l.Sort == "" {
			return strings.Compare(b.name, a.name)
		}
		return strings.Compare(a.name, b.name)
	}
	limit := l.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, MaxPage)
	from := min(max(l.Offset, 0), len(rows))
	to := from + min(limit, len(rows)-from)
	if from == to {
		return nil
	}
	partition(rows, from, order)
	if to < len(rows) {
		partition(rows[from:], to-from, order)
	}
	slices.SortFunc(rows[from:to], order)
	return rows[from:to]
}

// partition moves the n smallest rows to the front: quickselect with the
// median of three.
func partition[T any](rows []row[T], n int, order func(a, b row[T]) int) {
	const small = 32
	for n > 0 && n < len(rows) {
		if len(rows) <= small {
			slices.SortFunc(rows, order)
			return
		}
		pivot := median(rows[0], rows[len(rows)/2], rows[len(rows)-1], order)
		i, j := 0, len(rows)-1
		for i <= j {
			for order(rows[i], pivot) < 0 {
				i++
			}
			for order(rows[j], pivot) > 0 {
				j--
			}
			if i <= j {
				rows[i], rows[j] = rows[j], rows[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			rows = rows[:j+1]
		case n > i:
			rows, n = rows[i:], n-i
		default:
			return
		}
	}
}

func median[T any](a, b, c row[T], order func(a, b row[T]) int) row[T] {
	if order(a, b) > 0 {
		a, b = b, a
	}
	if order(b, c) > 0 {
		b = c
	}
	if order(a, b) > 0 {
		b = a
	}
	return b
}

// unknownSort is the error of a key that a list can't be sorted by.
func unknownSort(key string, keys ...string) error {
	return fail(CodeInvalid, "list", "can't be sorted by %q; the keys are %s", key, strings.Join(keys, ", "))
}
