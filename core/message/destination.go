package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind tells the name space that a destination's name lives in.
type Kind uint8

// The kinds. Their numbers are part of stored formats.
const (
	KindNone Kind = iota
	KindQueue
	KindTopic
	KindTempQueue // exists as long as the connection that made it
	KindTempTopic
)

var kindPrefixes = [...]string{"", "queue://", "topic://", "temp-queue://", "temp-topic://"}

// String returns the qualified-name prefix without its separator: "queue".
func (k Kind) String() string {
	if k == KindNone || int(k) >= len(kindPrefixes) {
		return "none"
	}
	return strings.TrimSuffix(kindPrefixes[k], "://")
}

// IsQueue reports whether each message goes to one consumer.
func (k Kind) IsQueue() bool { return k == KindQueue || k == KindTempQueue }

// IsTopic reports whether each message goes to every subscriber.
func (k Kind) IsTopic() bool { return k == KindTopic || k == KindTempTopic }

// IsTemp reports whether the destination is bound to a connection.
func (k Kind) IsTemp() bool { return k == KindTempQueue || k == KindTempTopic }

// Destination names a queue or a topic. The zero value is no destination.
// Names are '.'-separated paths; '*' stands for one element and a final '>'
// for everything below (and the name before it).
type Destination struct {
	Kind Kind
	Name string
}

// Queue names a queue.
func Queue(name string) Destination { return Destination{KindQueue, name} }

// Topic names a topic.
func Topic(name string) Destination { return Destination{KindTopic, name} }

// IsZero reports whether d names nothing.
func (d Destination) IsZero() bool { return d.Kind == KindNone }

// String returns the qualified name: "queue://orders.new".
func (d Destination) String() string {
	if int(d.Kind) >= len(kindPrefixes) {
		return d.Name
	}
	return kindPrefixes[d.Kind] + d.Name
}

// Limits of names.
const (
	MaxNameLength   = 4096 // bytes
	MaxNameElements = 128
	MaxComponents   = 256 // of a composite
)

// Errors of names.
var (
	ErrNameEmpty      = errors.New("destination name is empty")
	ErrNameLong       = fmt.Errorf("destination name is longer than %d bytes", MaxNameLength)
	ErrNameElements   = fmt.Errorf("destination name has more than %d elements", MaxNameElements)
	ErrNameComponents = fmt.Errorf("composite destination has more than %d components", MaxComponents)
	ErrNameText       = errors.New("destination name is not valid UTF-8 or holds a control character")
)

// ParseDestination reads a qualified name; a name without prefix is of kind
// unqualified. Blanks around the name are ignored. Errors are those of
// ValidateName, wrapped with the name (the beginning of a long one), and come
// with the zero Destination.
func ParseDestination(s string, unqualified Kind) (Destination, error) {
	s = strings.Trim(s, " ")
	d := Destination{unqualified, s}
	for k := KindQueue; k <= KindTempTopic; k++ {
		if rest, ok := strings.CutPrefix(s, kindPrefixes[k]); ok {
			d = Destination{k, strings.TrimLeft(rest, " ")}
			break
		}
	}
	if err := ValidateName(d.Name); err != nil {
		return Destination{}, fmt.Errorf("%.64q: %w", s, err)
	}
	return d, nil
}

// CutOptions splits what stands behind the first '?' of d's name from it:
// "Q?consumer.prefetchSize=10" is queue Q with an option. A composite has
// them at its end, once for all its components.
func (d Destination) CutOptions() (bare Destination, options string) {
	d.Name, options, _ = strings.Cut(d.Name, "?")
	return d, options
}

// ValidateName reports whether name can name a destination, a pattern, or a
// composite of them. Elements may be empty: MQTT has "a//b".
func ValidateName(name string) error {
	switch {
	case name == "":
		return ErrNameEmpty
	case len(name) > MaxNameLength:
		return ErrNameLong
	}
	dots, ascii := 0, true
	for i := range len(name) {
		switch c := name[i]; {
		case c < ' ' || c == 0x7f:
			return ErrNameText
		case c >= utf8.RuneSelf:
			ascii = false
		case c == ',':
			dots = 0
		case c == '.':
			if dots++; dots >= MaxNameElements {
				return ErrNameElements
			}
		}
	}
	if !ascii && (!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl)) {
		return ErrNameText
	}
	return nil
}

// IsPattern reports whether name has a wildcard element. A composite is to be
// asked component by component.
func IsPattern(name string) bool {
	if strings.IndexByte(name, '*') < 0 && strings.IndexByte(name, '>') < 0 { // faster than ContainsAny
		return false
	}
	for e := range strings.SplitSeq(name, ".") {
		if e == "*" || e == ">" {
			return true
		}
	}
	return false
}

// Matches reports whether pattern selects name. "A.>" selects A itself too,
// as in ActiveMQ; whatever stands behind '>' is ignored.
//
// In a name, '*' and '>' are elements like any other, which only wildcards
// select. (In ActiveMQ a '*' in the name is selected by every element: a
// permission for A.B would let its holder subscribe to A.*.) To ask whether
// one pattern selects all that another does, use Covers.
func Matches(pattern, name string) bool {
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		if p == ">" {
			return true
		}
		n, nrest, nmore := strings.Cut(name, ".")
		if p != "*" && p != n {
			return false
		}
		if !nmore {
			return !pmore || prest == ">" || strings.HasPrefix(prest, ">.")
		}
		if !pmore {
			return false
		}
		pattern, name = prest, nrest
	}
}

// Covers reports whether pattern selects every name that sub, a name or a
// pattern, selects: whoever may read pattern may subscribe to sub. It errs
// towards false where pattern is a roundabout way to write another: "*.>"
// selects everything and does not cover ">".
func Covers(pattern, sub string) bool {
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		if p == ">" {
			return true
		}
		s, srest, smore := strings.Cut(sub, ".")
		if s == ">" || p != "*" && p != s {
			return false
		}
		if !smore {
			return !pmore || prest == ">" || strings.HasPrefix(prest, ">.")
		}
		if !pmore {
			return false
		}
		pattern, sub = prest, srest
	}
}

// IsComposite reports whether the name lists several destinations.
func (d Destination) IsComposite() bool { return strings.Contains(d.Name, ",") }

// Components returns the destinations of a composite name, each once, in
// their order: "A,topic://B" under kind queue is queue A and topic B. Blanks
// around a name and empty names are ignored, as in ActiveMQ. A destination
// that isn't composite is its own only component, as it is.
func (d Destination) Components() ([]Destination, error) {
	if !d.IsComposite() {
		if err := ValidateName(d.Name); err != nil {
			return nil, fmt.Errorf("%.64q: %w", d.Name, err)
		}
		return []Destination{d}, nil
	}
	var out []Destination
	for part := range strings.SplitSeq(d.Name, ",") {
		if strings.Trim(part, " ") == "" {
			continue
		}
		c, err := ParseDestination(part, d.Kind)
		if err != nil {
			return nil, fmt.Errorf("composite destination: %w", err)
		}
		if slices.Contains(out, c) {
			continue
		}
		if len(out) == MaxComponents {
			return nil, ErrNameComponents
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("composite destination: %w", ErrNameEmpty)
	}
	return out, nil
}
