package security

import (
	"fmt"
	"strings"
)

// Action is something that can be done to a destination, or a set of such
// things.
type Action uint8

// The actions.
const (
	Read   Action = 1 << iota // subscribe, browse, receive what is remembered
	Write                     // send to it, or move messages into it
	Create                    // make it: by the first use, too
	Admin                     // purge, pause, move from, delete; includes Create

	// AllActions is every action.
	AllActions = Read | Write | Create | Admin
)

var actionNames = [...]string{"read", "write", "create", "admin"}

// String lists the actions, separated by commas: "read,write", "all".
func (a Action) String() string {
	switch a {
	case 0:
		return "none"
	case AllActions:
		return "all"
	}
	var names []string
	for i, name := range actionNames {
		if a.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Has reports whether all of b are in a.
func (a Action) Has(b Action) bool { return a&b == b }

// ParseAction reads what String writes.
func ParseAction(text string) (Action, error) {
	if text == "all" {
		return AllActions, nil
	}
	var a Action
	for name := range strings.SplitSeq(text, ",") {
		found := false
		for i := range actionNames {
			if actionNames[i] == name {
				a |= 1 << i
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("%.32q is not an action: want read, write, create, admin or all", name)
		}
	}
	return a.implied(), nil
}

// implied adds what an action includes.
func (a Action) implied() Action {
	if a.Has(Admin) {
		a |= Create
	}
	return a
}
