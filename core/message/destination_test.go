package message

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDestination(t *testing.T) {
	for _, c := range []struct {
		in          string
		unqualified Kind
		want        Destination
		err         error
	}{
		{"queue://a.b", KindTopic, Queue("a.b"), nil},
		{"topic://a.b", KindQueue, Topic("a.b"), nil},
		{"temp-queue://ID:x-1", KindQueue, Destination{KindTempQueue, "ID:x-1"}, nil},
		{"temp-topic://ID:x-1", KindQueue, Destination{KindTempTopic, "ID:x-1"}, nil},
		{"a.b", KindQueue, Queue("a.b"), nil},
		{"a.b", KindTopic, Topic("a.b"), nil},
		{"  a b ", KindQueue, Queue("a b"), nil},
		{" queue:// a ", KindTopic, Queue("a"), nil},
		{"Queue://a", KindQueue, Queue("Queue://a"), nil},
		{"queue:/a", KindQueue, Queue("queue:/a"), nil},
		{"queue://topic://a", KindQueue, Queue("topic://a"), nil},
		{"Q?consumer.prefetchSize=10", KindQueue, Queue("Q?consumer.prefetchSize=10"), nil},
		{"queue://A,topic://B", KindTopic, Queue("A,topic://B"), nil},
		{"", KindQueue, Destination{}, ErrNameEmpty},
		{"   ", KindQueue, Destination{}, ErrNameEmpty},
		{"queue://", KindQueue, Destination{}, ErrNameEmpty},
		{"a\nb", KindQueue, Destination{}, ErrNameText},
	} {
		got, err := ParseDestination(c.in, c.unqualified)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("ParseDestination(%q, %v) = %v, %v; want %v, %v", c.in, c.unqualified, got, err, c.want, c.err)
		}
	}
}

func TestParseDestinationShowsTheBeginningOfABadName(t *testing.T) {
	_, err := ParseDestination(strings.Repeat("a", 1<<20), KindQueue)
	if !errors.Is(err, ErrNameLong) || len(err.Error()) > 200 || !strings.HasPrefix(err.Error(), `"aaaa`) {
		t.Errorf("%.300v", err)
	}
}

func TestDestinationStringIsParsedBack(t *testing.T) {
	for k := KindQueue; k <= KindTempTopic; k++ {
		d := Destination{k, "a.b"}
		if got, err := ParseDestination(d.String(), KindNone); got != d || err != nil {
			t.Errorf("%v: %v, %v", d, got, err)
		}
		if d.String() != k.String()+"://a.b" {
			t.Errorf("%v of kind %v", d, k)
		}
	}
	if got := (Destination{99, "x"}).String() + Kind(99).String() + KindNone.String(); got != "xnonenone" {
		t.Errorf("unknown kinds: %q", got)
	}
}

func TestValidateName(t *testing.T) {
	elements := func(n int) string { return strings.Repeat("a.", n-1) + "a" }
	for _, c := range []struct {
		name string
		want error
	}{
		{"a", nil},
		{"a.b", nil},
		{"a..b", nil},
		{".", nil},
		{"a b", nil},
		{"ü.日本", nil},
		{"A.*.>", nil},
		{"a/b#c", nil},
		{"", ErrNameEmpty},
		{strings.Repeat("a", MaxNameLength), nil},
		{strings.Repeat("a", MaxNameLength+1), ErrNameLong},
		{elements(MaxNameElements), nil},
		{elements(MaxNameElements + 1), ErrNameElements},
		{elements(MaxNameElements) + "," + elements(MaxNameElements), nil},
		{"a," + elements(MaxNameElements+1), ErrNameElements},
		{"a\x00", ErrNameText},
		{"a\r\nb", ErrNameText},
		{"a\x7f", ErrNameText},
		{"a\u0085b", ErrNameText},
		{"a\xff", ErrNameText},
		{"\xc3", ErrNameText},
	} {
		if err := ValidateName(c.name); !errors.Is(err, c.want) {
			t.Errorf("ValidateName(%.40q) = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestValidateNameDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() { _ = ValidateName("orders.incoming.eurøpe") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIsPattern(t *testing.T) {
	for name, want := range map[string]bool{
		"": false, "a": false, "a.b": false, "a*": false, "*a.b": false, "a.b>": false, "a.**": false,
		"*": true, ">": true, "a.*": true, "*.a": true, "a.>": true, "a.*.b": true, "a.>.b": true,
	} {
		if got := IsPattern(name); got != want {
			t.Errorf("IsPattern(%q) = %v", name, got)
		}
	}
}

// The facts of ActiveMQ's matching, and of where we differ.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"A.B", "A.B", true},
		{"A.B", "A.b", false},
		{"A.B", "A", false},
		{"A", "A.B", false},
		{"A.B", "A.B.", false},
		// '*' is one element.
		{"*", "A", true},
		{"*", "A.B", false},
		{"A.*", "A.B", true},
		{"A.*", "A", false},
		{"A.*", "A.B.C", false},
		{"*.B", "A.B", true},
		{"*.B", "B", false},
		{"A.*.C", "A.B.C", true},
		{"A.*.C", "A.C", false},
		{"A.*", "A.", true},
		{"*", "", true},
		{"*.*", "A..B", false},
		{"*.*.*", "A..B", true},
		// '>' is this and everything below.
		{">", "A", true},
		{">", "A.B.C", true},
		{">", "", true},
		{"A.>", "A", true},
		{"A.>", "A.B", true},
		{"A.>", "A.B.C", true},
		{"A.>", "AB", false},
		{"A.>", "B.A", false},
		{"A.>", "A.", true},
		{"*.>", "A", true},
		{"*.>", "A.B.C", true},
		{"A.*.>", "A", false},
		{"A.*.>", "A.B", true},
		{"A.*.>", "A.B.C", true},
		// What stands behind '>' is ignored.
		{"A.>.C", "A", true},
		{"A.>.C", "A.B", true},
		{"A.>.>", "A", true},
		{">.A", "B", true},
		// A wildcard is a whole element.
		{"A*", "AB", false},
		{"A*", "A*", true},
		{"A.B>", "A.B.C", false},
		{"A.**", "A.B", false},
		// A wildcard in the name is an element: ActiveMQ's "either direction" is not followed.
		{"A.B", "A.*", false},
		{"A.*", "A.*", true},
		{"A.>", "A.*", true},
		{"A.B", "A.>", false},
		{"A.*", "A.>", true},
	} {
		if got := Matches(c.pattern, c.name); got != c.want {
			t.Errorf("Matches(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestMatchesDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() { Matches("a.*.c.>", "a.b.c.d.e") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, sub string
		want         bool
	}{
		{"A", "A", true},
		{"A", "B", false},
		{"A.*", "A.B", true},
		{"A.*", "A.*", true},
		{"A.B", "A.*", false},
		{"A.*", "A.>", false},
		{"A.>", "A.>", true},
		{"A.>", "A.*", true},
		{"A.>", "A", true},
		{"A.>", "A.B.>", true},
		{"A.B.>", "A.>", false},
		{">", ">", true},
		{">", "*.A", true},
		{"*", "A", true},
		{"*", ">", false},
		{"A.*", "*.A", false},
		{"A.>", "*.>", false},
		{"*.>", "A.>", true},
		{"*.>", ">", false},
		{"*.B", "A.B", true},
		{"A.*.>", "A.B.*", true},
	} {
		if got := Covers(c.pattern, c.sub); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.pattern, c.sub, got)
		}
	}
}

func TestCoversNeverGivesMoreThanThePatternSelects(t *testing.T) {
	path := func(elements ...string) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(elements), 1, 5).Draw(t, "elements"), ".")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern, sub := path("a", "b", "*", ">").Draw(t, "pattern"), path("a", "b", "*", ">").Draw(t, "sub")
		name := path("a", "b").Draw(t, "name")
		if Covers(pattern, sub) && Matches(sub, name) && !Matches(pattern, name) {
			t.Fatalf("%q covers %q, which selects %q", pattern, sub, name)
		}
		if Covers(pattern, name) != Matches(pattern, name) {
			t.Fatalf("Covers(%q, %q) of a name is not Matches", pattern, name)
		}
	})
}

func TestComponents(t *testing.T) {
	for _, c := range []struct {
		d    Destination
		want []Destination
		err  error
	}{
		{Queue("A"), []Destination{Queue("A")}, nil},
		{Topic(" A"), []Destination{Topic(" A")}, nil},
		{Queue("A,topic://B"), []Destination{Queue("A"), Topic("B")}, nil},
		{Topic("A.*, queue://B , C"), []Destination{Topic("A.*"), Queue("B"), Topic("C")}, nil},
		{Queue(",A,,B, ,"), []Destination{Queue("A"), Queue("B")}, nil},
		{Queue("B,A,B,queue://A,topic://A"), []Destination{Queue("B"), Queue("A"), Topic("A")}, nil},
		{Queue(","), nil, ErrNameEmpty},
		{Queue(""), nil, ErrNameEmpty},
		{Queue("A,queue://"), nil, ErrNameEmpty},
		{Queue("A,B\n"), nil, ErrNameText},
		{Queue("a\x01"), nil, ErrNameText},
	} {
		got, err := c.d.Components()
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%q: %v, %v; want %v, %v", c.d.Name, got, err, c.want, c.err)
		}
	}
}

func TestComponentsAreLimited(t *testing.T) {
	names := make([]string, MaxComponents+1)
	for i := range names {
		names[i] = strings.Repeat("a", i+1)
	}
	if got, err := Queue(strings.Join(names[:MaxComponents], ",")).Components(); len(got) != MaxComponents || err != nil {
		t.Errorf("%d components: %d, %v", MaxComponents, len(got), err)
	}
	if _, err := Queue(strings.Join(names, ",")).Components(); !errors.Is(err, ErrNameComponents) {
		t.Errorf("%d components: %v", len(names), err)
	}
}

func TestCutOptions(t *testing.T) {
	for _, c := range []struct{ name, bare, options string }{
		{"Q", "Q", ""},
		{"Q?", "Q", ""},
		{"Q?consumer.prefetchSize=10", "Q", "consumer.prefetchSize=10"},
		{"A,B?x=1&y=?", "A,B", "x=1&y=?"},
		{"?x", "", "x"},
	} {
		bare, options := Queue(c.name).CutOptions()
		if bare != Queue(c.bare) || options != c.options {
			t.Errorf("%q: %v, %q", c.name, bare, options)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		k                  Kind
		queue, topic, temp bool
	}{
		{KindNone, false, false, false},
		{KindQueue, true, false, false},
		{KindTopic, false, true, false},
		{KindTempQueue, true, false, true},
		{KindTempTopic, false, true, true},
	} {
		if c.k.IsQueue() != c.queue || c.k.IsTopic() != c.topic || c.k.IsTemp() != c.temp {
			t.Errorf("%v: queue %v, topic %v, temp %v", c.k, c.k.IsQueue(), c.k.IsTopic(), c.k.IsTemp())
		}
	}
}
