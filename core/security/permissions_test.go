package security

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

func parse(t *testing.T, text string) *Permissions {
	t.Helper()
	p, err := ParsePermissions(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func who(name string, groups ...string) *Principal {
	return &Principal{Name: name, Groups: normalGroups(groups), ClientID: "c-" + name}
}

const examplePermissions = `
# pattern               actions        who
queue://>               read           *
queue://orders.>        read,write     alice @billing
queue://orders.special  create         @billing
topic://prices.*        read           *
topic://meters.$user.>  write          @meters
topic://c.$clientid     all            *
temp://>                create,write   *
"queue://my queue"      admin          "dr who"
`

func TestWhatAnyLineGrantsIsGrantedAndNothingElse(t *testing.T) {
	ps := parse(t, examplePermissions)
	for _, test := range []struct {
		who  *Principal
		d    message.Destination
		want Action
	}{
		{who("bob"), message.Queue("orders"), Read},
		{who("alice"), message.Queue("orders"), Read | Write}, // ">" includes the name before it
		{who("alice"), message.Queue("orders.a.b"), Read | Write},
		{who("bob", "billing"), message.Queue("orders.special"), Read | Write | Create},
		{who("alice"), message.Queue("orders.special"), Read | Write},
		{who("alice"), message.Queue("ordersX"), Read},
		{who("alice"), message.Topic("orders.a"), 0}, // topics are others than queues
		{who("bob"), message.Topic("prices.usd"), Read},
		{who("bob"), message.Topic("prices.usd.now"), 0},
		{who("bob"), message.Topic("prices"), 0},
		{who("m1", "meters"), message.Topic("meters.m1.power"), Write},
		{who("m1", "meters"), message.Topic("meters.m1"), Write},
		{who("m1", "meters"), message.Topic("meters.m2.power"), 0},
		{who("m1"), message.Topic("meters.m1.power"), 0},
		{who("m1", "meters"), message.Topic("meters.$user.power"), 0},
		{who("bob"), message.Topic("c.c-bob"), AllActions},
		{who("bob"), message.Topic("c.c-alice"), 0},
		{who("bob"), message.Destination{Kind: message.KindTempQueue, Name: "ID:x:1"}, Create | Write},
		{who("bob"), message.Destination{Kind: message.KindTempTopic, Name: "ID:x:1"}, Create | Write},
		{who("dr who"), message.Queue("my queue"), Read | Create | Admin},
	} {
		if got := ps.Allowed(test.who, test.d); got != test.want {
			t.Errorf("%s on %s: got %s, want %s", test.who.Name, test.d, got, test.want)
		}
		for _, a := range []Action{Read, Write, Create, Admin} {
			if d := ps.Explain(test.who, a, test.d); d.Allowed != test.want.Has(a) || d.Why == "" {
				t.Errorf("%s %s on %s: explained as %+v", test.who.Name, a, test.d, d)
			}
		}
	}
}

func TestEmptyPermissionsDenyEverything(t *testing.T) {
	for _, text := range []string{"", "\n\n# nothing\n"} {
		ps := parse(t, text)
		all, some := ps.AllowedPattern(who("root"), message.Queue(">"))
		if a := ps.Allowed(who("root"), message.Queue("a")); a|all|some != 0 {
			t.Errorf("%q allows %s, %s, %s", text, a, all, some)
		}
	}
}

// mosquitto CVE-2017-7650, RabbitMQ CVE-2026-44838: names that are patterns
// in the place of a variable.
func TestIdsThatCouldMeanMoreThanOneElementMatchNoVariable(t *testing.T) {
	ps := parse(t, "topic://u.$user.> read *\ntopic://c.$clientid read *\n")
	for _, id := range []string{"*", ">", "+", "#", "a.b", "a/b", "a,b", "$user", "", "a>", "x*", "a\x00"} {
		p := &Principal{Name: id, ClientID: id}
		for _, name := range []string{"u.alice.x", "u." + id + ".x", "c.alice", "c." + id, "u.a.b", "c.a.b"} {
			if a := ps.Allowed(p, message.Topic(name)); a != 0 {
				t.Errorf("id %q has %s on %q", id, a, name)
			}
		}
		if all, some := ps.AllowedPattern(p, message.Topic(">")); all|some != 0 {
			t.Errorf("id %q has %s, %s of everything", id, all, some)
		}
	}
	d := ps.Explain(&Principal{Name: "a.b"}, Read, message.Topic("u.a.b"))
	if !strings.Contains(d.Why, "line 1 can't be used") {
		t.Errorf("the reason is not explained: %s", d.Why)
	}
}

func TestPatternsAreAllowedAsAWholeOrInPart(t *testing.T) {
	ps := parse(t, "topic://a.> read *\ntopic://b.*.c read alice\ntopic://u.$user read *\n")
	for _, test := range []struct {
		pattern   string
		all, some bool
	}{
		{"a.>", true, true},
		{"a.*", true, true},
		{"a.b.>", true, true},
		{">", false, true},
		{"*", false, true}, // a itself
		{"b.>", false, true},
		{"b.*.c", true, true},
		{"b.x.*", false, true},
		{"b.*.d", false, false},
		{"u.*", false, true},
		{"u.alice", true, true},
		{"c.>", false, false},
		{"*.x.c", false, true},
	} {
		all, some := ps.AllowedPattern(who("alice"), message.Topic(test.pattern))
		if all.Has(Read) != test.all || some.Has(Read) != test.some {
			t.Errorf("%s: all %v, some %v", test.pattern, all.Has(Read), some.Has(Read))
		}
	}
}

func TestDecisionsAreExplained(t *testing.T) {
	ps := parse(t, examplePermissions)
	for _, test := range []struct {
		who  *Principal
		a    Action
		d    message.Destination
		want string
	}{
		{who("alice"), Write, message.Queue("orders.x"), `line 4 of the permissions, "queue://orders.> read,write alice @billing", grants write to user "alice"`},
		{who("bob", "billing"), Write, message.Queue("orders.x"), `grants write to group "billing"`},
		{who("bob"), Read, message.Queue("x"), `line 3 of the permissions, "queue://> read *", grants read to everybody`},
		{
			who("bob", "x", "y"), Write, message.Queue("orders.x"),
			`no permission grants write on queue://orders.x to user "bob" or its groups x, y; lines for this destination that grant something else, or to others: 3 4`,
		},
		{who("bob"), Write, message.Topic("x"), `no permission grants write on topic://x to user "bob"`},
	} {
		if got := ps.Explain(test.who, test.a, test.d).Why; !strings.Contains(got, test.want) {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestWrongLinesOfThePermissionsAreNamed(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"queue://a read", "want a pattern, actions, and for whom"},
		{"orders read *", "want queue://, topic:// or temp://"},
		{"queue:// read *", "name is empty"},
		{"queue://a,b read *", "a line for each destination"},
		{"queue://a.>.b read *", "> stands at the end"},
		{"queue://a.x$user read *", "a variable is a whole element"},
		{"queue://a.$users read *", "a variable is a whole element"},
		{"queue://a consume *", `"consume" is not an action`},
		{"queue://a read, *", `"" is not an action`},
		{"queue://a read @", "the name is empty"},
		{`"queue://a read *`, "a double quote is not closed"},
	} {
		_, err := ParsePermissions("\n" + test.line + "\n")
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%s: %v", test.line, err)
		}
	}
}

// The trie decides as a look at every line does.
func TestTrieAgreesWithTheLines(t *testing.T) {
	element := rapid.SampledFrom([]string{"a", "b", "", "*", "$user", "$clientid"})
	plain := rapid.SampledFrom([]string{"a", "b", "", "*", ">", "al", "$user"})
	rapid.Check(t, func(t *rapid.T) {
		ps := &Permissions{}
		for i := range rapid.IntRange(0, 8).Draw(t, "entries") {
			elements := rapid.SliceOfN(element, 1, 4).Draw(t, "pattern")
			if rapid.Bool().Draw(t, "below") {
				elements = append(elements, ">")
			}
			e := &entry{line: i + 1, pattern: strings.Join(elements, "."), actions: Action(rapid.IntRange(1, 15).Draw(t, "actions")), everyone: true}
			e.variable = strings.Contains(e.pattern, "$")
			ps.entries = append(ps.entries, e)
			ps.kinds[kindQueue].insert(e)
		}
		p := &Principal{Name: plain.Draw(t, "user"), ClientID: plain.Draw(t, "client")}
		name := strings.Join(rapid.SliceOfN(plain, 1, 5).Draw(t, "name"), ".")
		var want Action
		for _, e := range ps.entries {
			if pattern, ok := e.patternFor(p); ok && message.Matches(pattern, name) {
				want |= e.actions
			}
		}
		if got := ps.Allowed(p, message.Queue(name)); got != want {
			t.Fatalf("%q for %+v: got %s, want %s", name, p, got, want)
		}
	})
}

// What a pattern is allowed as a whole, each of its names is; what a name is
// allowed, each pattern that selects it is in part.
func TestPatternsAgreeWithTheirNames(t *testing.T) {
	element := rapid.SampledFrom([]string{"a", "b", "*"})
	patterns := func(t *rapid.T, label string) string {
		elements := rapid.SliceOfN(element, 1, 3).Draw(t, label)
		if rapid.Bool().Draw(t, label+" below") {
			elements = append(elements, ">")
		}
		return strings.Join(elements, ".")
	}
	rapid.Check(t, func(t *rapid.T) {
		granted, asked := patterns(t, "granted"), patterns(t, "asked")
		ps, err := ParsePermissions(fmt.Sprintf("topic://%s read *", granted))
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 4).Draw(t, "name"), ".")
		if !message.Matches(asked, name) {
			return
		}
		all, some := ps.AllowedPattern(who("x"), message.Topic(asked))
		one := ps.Allowed(who("x"), message.Topic(name))
		if all.Has(Read) && !one.Has(Read) || one.Has(Read) && !some.Has(Read) {
			t.Fatalf("granted %s, asked %s: all %s, some %s, but %s is %s", granted, asked, all, some, name, one)
		}
	})
}

func FuzzParsePermissions(f *testing.F) {
	f.Add(examplePermissions)
	f.Add("queue://\"a b\" all *")
	f.Add("\"temp://\\x41\" read \"@x y\"")
	f.Fuzz(func(t *testing.T, text string) {
		ps, err := ParsePermissions(text)
		if err != nil {
			return
		}
		var lines []string
		for _, e := range ps.entries {
			lines = append(lines, e.String())
		}
		again, err := ParsePermissions(strings.Join(lines, "\n"))
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%q", err, lines)
		}
		var second []string
		for _, e := range again.entries {
			second = append(second, e.String())
		}
		if !slices.Equal(lines, second) {
			t.Fatalf("written %q, then %q", lines, second)
		}
		ps.Allowed(who("alice", "billing"), message.Queue("orders.x"))
	})
}

func BenchmarkAllowed(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "queue://app%d.> read,write user%d @group%d\n", i, i, i%100)
	}
	ps, err := ParsePermissions(text.String())
	if err != nil {
		b.Fatal(err)
	}
	p, d := who("user77", "group77"), message.Queue("app77.orders.new")
	b.ReportAllocs()
	for b.Loop() {
		ps.Allowed(p, d)
	}
}
