package selector

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// FuzzParse checks that no text causes a panic, takes long, or much memory;
// that an error points into the text; and that the canonical text of a
// selector means the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a = 1 AND (b <> 'it''s' OR NOT c)", "a BETWEEN -1 AND 0x10 AND b NOT IN ('x', 'y')", "a LIKE '%!_x' ESCAPE '!'",
		"JMSPriority >= 4 -- comment\n AND JMSDestination LIKE 'queue://%'", `"a-b" /* c */ IS NOT NULL`, "-(-a) * 2.5e3F / 07 % 1 > +b - - 3",
		"convert_string_expressions:a = 10", "((((", "NOT NOT NOT a", "a = 9223372036854775808", "'", "\xff", "XPATH 'x'", "größe = .5d",
	} {
		f.Add(s, "10", int64(3))
	}
	f.Fuzz(func(t *testing.T, text, property string, n int64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		s, err := Parse(text, Options{ConvertStrings: true})
		if d := time.Since(start); d > time.Second {
			t.Errorf("parsing %d bytes took %v", len(text), d)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20+uint64(len(text))*1024 {
			t.Errorf("parsing %d bytes took %d bytes of memory", len(text), used)
		}
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Offset < 0 || e.Offset > len(e.Text) || e.Error() == "" {
				t.Errorf("%q: the error %v does not point into it", text, err)
			}
			return
		}
		if len(s.String()) > MaxLength { // quoting and spaces make it longer
			return
		}
		again, err := Parse(s.String(), Options{ConvertStrings: true})
		if err != nil {
			t.Fatalf("%q: canonical text %q: %v", text, s, err)
		}
		if again.String() != s.String() {
			t.Fatalf("%q: canonical text %q, and of that %q", text, s, again)
		}
		m := newMessage(message.EncodingSTOMP, []message.Property{
			{Name: "a", Value: message.StringValue(property)}, {Name: "b", Value: message.Int64Value(n)},
		})
		start = time.Now()
		if s.Matches(m, converters) != again.Matches(m, converters) {
			t.Errorf("%q and %q differ", text, s)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("evaluating %q took %v", text, d)
		}
	})
}
