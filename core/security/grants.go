package security

import "strings"

// grantNode stands for the elements of patterns up to a depth: a trie, so that
// a decision costs a walk along the elements of a name however many lines the
// file has.
type grantNode struct {
	children map[string]*grantNode
	star     *grantNode // '*'
	user     *grantNode // $user
	client   *grantNode // $clientid
	here     []*entry   // of patterns that end here
	below    []*entry   // of patterns that go on with '>'
}

// insert adds e under its pattern.
func (n *grantNode) insert(e *entry) {
	for rest, more := e.pattern, true; more; {
		var element string
		element, rest, more = strings.Cut(rest, ".")
		if element == ">" {
			n.below = append(n.below, e)
			return
		}
		n = n.child(element)
	}
	n.here = append(n.here, e)
}

func (n *grantNode) child(element string) *grantNode {
	var place **grantNode
	switch element {
	case "*":
		place = &n.star
	case userVariable:
		place = &n.user
	case clientVariable:
		place = &n.client
	default:
		c := n.children[element]
		if c == nil {
			c = &grantNode{}
			if n.children == nil {
				n.children = make(map[string]*grantNode)
			}
			n.children[element] = c
		}
		return c
	}
	if *place == nil {
		*place = &grantNode{}
	}
	return *place
}

// lookup is what variables stand for; "" is what no element is compared with.
type lookup struct {
	user, client       string
	hasUser, hasClient bool
}

func newLookup(p *Principal) *lookup {
	return &lookup{user: p.Name, client: p.ClientID, hasUser: literal(p.Name), hasClient: literal(p.ClientID)}
}

// match calls fn with each entry whose pattern selects name.
func (n *grantNode) match(l *lookup, name string, fn func(*entry)) { n.walk(l, name, true, fn) }

// walk is match for rest, what is left of the name; more is false if nothing
// is left, which is not an empty element.
func (n *grantNode) walk(l *lookup, rest string, more bool, fn func(*entry)) {
	each(n.below, fn)
	if !more {
		each(n.here, fn)
		return
	}
	element, rest, more := strings.Cut(rest, ".")
	if c := n.children[element]; c != nil {
		c.walk(l, rest, more, fn)
	}
	if n.star != nil {
		n.star.walk(l, rest, more, fn)
	}
	if n.user != nil && l.hasUser && element == l.user {
		n.user.walk(l, rest, more, fn)
	}
	if n.client != nil && l.hasClient && element == l.client {
		n.client.walk(l, rest, more, fn)
	}
}

func each(es []*entry, fn func(*entry)) {
	for _, e := range es {
		fn(e)
	}
}
