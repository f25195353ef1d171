package message

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

type countingConverter struct {
	calls atomic.Int32
	err   error
}

func (c *countingConverter) View(m *Message) (*View, error) {
	c.calls.Add(1)
	if c.err != nil {
		return nil, c.err
	}
	return &View{Body: BytesBody(m.Payload())}, nil
}

func TestAllConsumersShareOneView(t *testing.T) {
	m := New(usual(), EncodingSTOMP, []byte("x"))
	c := Converters{EncodingSTOMP: &countingConverter{}}
	const consumers = 16
	var (
		got   [consumers]*View
		ready = make(chan struct{})
		wg    sync.WaitGroup
	)
	for i := range consumers {
		wg.Go(func() {
			<-ready
			got[i], _ = m.View(c)
		})
	}
	close(ready)
	wg.Wait()
	for i, v := range got {
		if v == nil || v != got[0] {
			t.Fatalf("consumer %d got view %p, the first one %p", i, v, got[0])
		}
	}
	if got[0].Body.Text() != "x" {
		t.Errorf("body %q", got[0].Body.Text())
	}
}

func TestViewIsBuiltOnce(t *testing.T) {
	for _, fails := range []error{nil, errors.New("damaged")} {
		conv := &countingConverter{err: fails}
		m := New(usual(), EncodingSTOMP, []byte("x"))
		for range 3 {
			v, err := m.View(Converters{EncodingSTOMP: conv})
			if !errors.Is(err, fails) || (v == nil) != (fails != nil) {
				t.Fatalf("%v, %v", v, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "stomp message ID:entrepot-") {
				t.Errorf("error %q does not name the message", err)
			}
		}
		if n := conv.calls.Load(); n != 1 {
			t.Errorf("with error %v: converted %d times", fails, n)
		}
	}
}

func TestViewWithoutConverterIsAnErrorThatIsNotRemembered(t *testing.T) {
	m := New(usual(), EncodingSTOMP)
	if _, err := m.View(Converters{EncodingHub: Hub{}}); !errors.Is(err, ErrNoConverter) {
		t.Fatalf("error %v", err)
	}
	if _, err := m.View(Converters{EncodingSTOMP: &countingConverter{}}); err != nil {
		t.Fatalf("with a converter: %v", err)
	}
}

func TestNewViewIsReadByHub(t *testing.T) {
	for _, c := range views() {
		m, err := Decode(NewView(usual(), c.v).Raw())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.View(Converters{EncodingHub: Hub{}}); err != nil || !got.Equal(c.v) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestADamagedHubPayloadIsAnErrorOfTheMessage(t *testing.T) {
	m := New(usual(), EncodingHub, []byte{hubVersion, 0xff})
	if _, err := m.View(Converters{EncodingHub: Hub{}}); !errors.Is(err, ErrTruncated) {
		t.Errorf("error %v", err)
	}
}

func TestTheFirstPropertyOfANameCounts(t *testing.T) {
	v := &View{Properties: []Property{{"a", Int8Value(1)}, {"b", Int8Value(2)}, {"a", Int8Value(3)}}}
	if got, ok := v.Property("a"); !ok || !got.Equal(Int8Value(1)) {
		t.Errorf("a is %v", got)
	}
	if _, ok := v.Property("c"); ok {
		t.Error("c is there")
	}
}

func TestViewEqual(t *testing.T) {
	base := func() *View {
		return &View{Properties: []Property{{"a", Int8Value(1)}, {"b", Null()}}, Body: BytesBody([]byte("xy"))}
	}
	for name, change := range map[string]func(*View){
		"a name":       func(v *View) { v.Properties[0].Name = "c" },
		"a value":      func(v *View) { v.Properties[0].Value = Int8Value(2) },
		"the order":    func(v *View) { v.Properties[0], v.Properties[1] = v.Properties[1], v.Properties[0] },
		"fewer":        func(v *View) { v.Properties = v.Properties[:1] },
		"the kind":     func(v *View) { v.Body.Kind = BodyObject },
		"the data":     func(v *View) { v.Body.Data = []byte("xz") },
		"the value":    func(v *View) { v.Body.Value = BoolValue(true) },
		"the sections": func(v *View) { v.Body.Sections = []int{1, 2} },
	} {
		v := base()
		if !v.Equal(base()) {
			t.Fatal("two equal views are not")
		}
		if change(v); v.Equal(base()) {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestBodyKindNames(t *testing.T) {
	want := []string{"none", "bytes", "text", "map", "stream", "object", "value", "unknown"}
	for i, name := range want {
		if got := BodyKind(i).String(); got != name {
			t.Errorf("kind %d: %q, want %q", i, got, name)
		}
	}
}

func TestBodiesKeepWhatTheyAreMadeOf(t *testing.T) {
	text := "text"
	if b := TextBody(text); b.Kind != BodyText || b.Text() != text || string(b.Data) != text {
		t.Errorf("%+v", b)
	}
	if n := testing.AllocsPerRun(10, func() {
		b := TextBody(text)
		_ = b.Text()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
