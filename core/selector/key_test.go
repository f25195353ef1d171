package selector

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestKeysOfSelectors(t *testing.T) {
	for text, want := range map[string]string{
		"a = 'x'": "[{x 0}]", "'x' = a": "[{x 0}]", "b > 1 AND a = 'x'": "[{x 0}]", "a IN ('x', 'y') AND b": "[{x 0} {y 0}]",
		"JMSType = 'x'": "[{x 0}]", "a = 1": "[{ 1}]", "1.5 = a": "[{ 1.5}]", "JMSPriority = 4": "[{ 4}]",
		"a = 'x' OR b": "", "NOT a = 'x'": "", "a NOT IN ('x')": "", "a <> 'x'": "", "JMSPriority = '4'": "", "a = TRUE": "",
		"JMSMessageID = 'x'": "", "JMSMessageID = 1": "", "a = b": "", convertPrefix + "a = 'x'": "", "JMSPriority IN ('4')": "",
		"JMSXDeliveryCount = 2": "",
	} {
		got := ""
		if k, ok := mustParse(t, text, Options{}).Key(); ok {
			got = fmt.Sprint(k.Values)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestWhatIsSelectedHasTheKey(t *testing.T) {
	typed := newMessage(message.EncodingAMQP, props{"i": 5, "f": 5.0, "s": "5", "zero": 0}.list())
	strings := newMessage(message.EncodingSTOMP, props{"i": "5", "f": "5.0", "s": "5", "zero": "-0"}.list())
	for _, text := range []string{"i = 5", "f = 5", "5.0 = i", "s = 5", "s = '5'", "i = '5'", "zero = 0", "-0.0 = zero", "JMSPriority = 4.0"} {
		for _, m := range []*message.Message{typed, strings} {
			s := mustParse(t, text, Options{ConvertStrings: true})
			k, keyed := s.Key()
			v, ok := k.Field.Value(m, converters)
			if has := ok && k.Values[0] == v; !keyed || has != s.Matches(m, converters) {
				t.Errorf("%s: key %v, found %v, selected %v", text, k, v, s.Matches(m, converters))
			}
		}
	}
}
