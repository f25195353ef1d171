package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

const everyInterceptor = `destinationInterceptors:
  virtualTopics:
    - name: orders.>
      prefix: app.*.
      postfix: .in
      selectorAware: true
    - {}
  composites:
    - queue: in
      forwardTo:
        - {queue: all}
        - {topic: large, selector: "amount > 1000"}
    - {topic: "both.*", forwardOnly: false, forwardTo: [{queue: a}]}
  mirroredQueues:
    - queue: pay.>
      postfix: .copy
`

func TestEveryInterceptorHasItsEffect(t *testing.T) {
	l, err := Load(Inputs{File: writeFile(t, "a.yaml", everyInterceptor)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]policy.VirtualTopic{
		{Name: "orders.>", Prefix: "app.*.", Postfix: ".in", SelectorAware: true}, policy.DefaultVirtualTopics[0],
	}, l.Interceptors.Virtual()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]policy.Forward{
		{From: message.Queue("in"), Only: true, To: []policy.ForwardTo{
			{Destination: message.Queue("all")}, {Destination: message.Topic("large"), Selector: "amount > 1000"},
		}},
		{From: message.Topic("both.*"), To: []policy.ForwardTo{{Destination: message.Queue("a")}}},
		{From: message.Queue("pay.>"), To: []policy.ForwardTo{
			{Destination: message.Topic("VirtualTopic.Mirror."), Wrap: true, Suffix: ".copy"},
		}},
	}, l.Interceptors.Forwards()); diff != "" {
		t.Error(diff)
	}
	var b strings.Builder
	if err := l.WriteYAML(&b, true); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Inputs{File: writeFile(t, "b.yaml", b.String())})
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if changed := l.Changed(again); len(changed) != 0 {
		t.Errorf("changed: %q in\n%s", changed, b.String())
	}
	again.Interceptors.Composites[0].ForwardTo[0].Queue = "some"
	if changed := l.Changed(again); len(changed) != 1 || changed[0] != "destinationInterceptors.composites" {
		t.Errorf("changed: %q", changed)
	}
}

func TestVirtualTopicsCanBeSwitchedOff(t *testing.T) {
	l, err := Load(Inputs{File: writeFile(t, "a.yaml", "destinationInterceptors: {virtualTopics: []}\n")})
	if err != nil {
		t.Fatal(err)
	}
	if v := l.Interceptors.Virtual(); v == nil || len(v) != 0 {
		t.Errorf("%v", v)
	}
}

func TestInterceptorsThatMakeNoSenseAreErrors(t *testing.T) {
	for _, tt := range []struct{ entry, want string }{
		{"virtualTopics: [{prefix: C}]", `virtualTopics[0]: virtual topic "VirtualTopic.>": the prefix "C"`},
		{"composites: [{forwardTo: [{queue: a}]}]", "composites[0]: needs one of queue and topic"},
		{"composites: [{queue: a, topic: b, forwardTo: [{queue: a}]}]", "needs one of queue and topic"},
		{"composites: [{queue: a}]", "nowhere to"},
		{"composites: [{queue: a, forwardTo: [{}]}]", "each entry of forwardTo needs one of queue and topic"},
		{`composites: [{queue: a, forwardTo: [{queue: "b.*"}]}]`, "name one queue or topic"},
		{`composites: [{queue: a, forwardTo: [{queue: b, selector: "x ="}]}]`, "selector: "},
		{`mirroredQueues: [{queue: "a,b"}]`, "mirroredQueues[0]: forward queue://a,b"},
	} {
		_, err := Load(Inputs{File: writeFile(t, "e.yaml", "destinationInterceptors:\n  "+tt.entry+"\n")})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q in it", tt.entry, err, tt.want)
		}
	}
}
