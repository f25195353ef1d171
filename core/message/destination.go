package message

import (
	"errors"
	"fmt"
	"strings"
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

// Queue and Topic name a destination of that kind.
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
)

// Errors of names, wrapped with the name concerned.
var (
	ErrNameEmpty    = errors.New("destination name is empty")
	ErrNameLong     = fmt.Errorf("destination name is longer than %d bytes", MaxNameLength)
	ErrNameElements = fmt.Errorf("destination name has more than %d elements", MaxNameElements)
	ErrNameText     = errors.New("destination name is not valid UTF-8 or holds a control character")
)

// ParseDestination reads a qualified name; a name without prefix is of kind
// unqualified.
func ParseDestination(s string, unqualified Kind) (Destination, error) {
	d := Destination{unqualified, s}
	for k := KindQueue; k <= KindTempTopic; k++ {
		if rest, ok := strings.CutPrefix(s, kindPrefixes[k]); ok {
			d = Destination{k, rest}
			break
		}
	}
	return d, ValidateName(d.Name)
}

// ValidateName reports whether name can name a destination or a pattern.
func ValidateName(name string) error {
	switch {
	case name == "":
		return ErrNameEmpty
	case len(name) > MaxNameLength:
		return ErrNameLong
	case strings.Count(name, ".") >= MaxNameElements:
		return ErrNameElements
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c == 0x7f {
			return ErrNameText
		}
	}
	if !utf8.ValidString(name) {
		return ErrNameText
	}
	return nil
}

// IsPattern reports whether name has a wildcard element.
func IsPattern(name string) bool {
	if !strings.ContainsAny(name, "*>") {
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

// IsComposite reports whether the name lists several destinations.
func (d Destination) IsComposite() bool { return strings.Contains(d.Name, ",") }

// Components returns the destinations of a composite name: "A,topic://B"
// under kind queue is queue A and topic B. Blanks around a name are ignored.
func (d Destination) Components() ([]Destination, error) {
	var out []Destination
	for part := range strings.SplitSeq(d.Name, ",") {
		c, err := ParseDestination(strings.TrimSpace(part), d.Kind)
		if err != nil {
			return nil, fmt.Errorf("composite destination %q: %w", d.Name, err)
		}
		out = append(out, c)
	}
	return out, nil
}
