package api

import (
	"net/url"
	"strconv"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// list is a page of a list as it goes out.
type list[T any] struct {
	Items  []T `json:"items"`
	Total  int `json:"total"`
	Offset int `json:"offset"`
}

func listed[T, U any](l broker.List, got broker.Listed[T], show func(*T) U) list[U] {
	out := list[U]{Items: make([]U, len(got.Items)), Total: got.Total, Offset: l.Offset}
	for i := range got.Items {
		out.Items[i] = show(&got.Items[i])
	}
	return out
}

// list reads the parameters that all lists have.
func (c *call) list(known ...string) (l broker.List, q url.Values, err error) {
	q, err = c.query(append(known, "offset", "limit", "sort", "order", "filter")...)
	if err != nil {
		return l, nil, err
	}
	const most = 1 << 31 // queues and connections are fewer
	if l.Offset, err = number(q, "offset", 0, 0, most-1); err != nil {
		return l, nil, err
	}
	if l.Limit, err = number(q, "limit", 100, 1, broker.MaxPage); err != nil {
		return l, nil, err
	}
	switch order := q.Get("order"); order {
	case "", "asc":
	case "desc":
		l.Desc = true
	default:
		return l, nil, invalid("order=%q is neither asc nor desc", order)
	}
	l.Sort, l.Filter, l.Permit = q.Get("sort"), q.Get("filter"), c.permitted()
	return l, q, nil
}

// query returns the parameters and refuses unknown ones: a misspelt filter
// must not look as if it had selected everything.
func (c *call) query(known ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query is malformed: %v", err)
	}
next:
	for name, values := range q {
		if len(values) > 1 {
			return nil, invalid("parameter %s is given %d times", name, len(values))
		}
		for _, k := range known {
			if k == name {
				continue next
			}
		}
		return nil, invalid("there is no parameter %q here", name)
	}
	return q, nil
}

// number reads a parameter within its bounds.
func number(q url.Values, name string, def, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < int64(least) || n > int64(most) {
		return 0, invalid("%s=%q is not a number from %d to %d", name, text, least, most)
	}
	return int(n), nil
}

// truth reads a parameter that is true or false, or there without a value.
func truth(q url.Values, name string) (bool, error) {
	switch text := q.Get(name); {
	case !q.Has(name), text == "false":
		return false, nil
	case text == "", text == "true":
		return true, nil
	default:
		return false, invalid("%s=%q is neither true nor false", name, text)
	}
}
