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
		"a > 5 AND a < 7":       "5 to 7", "7 >= a AND b AND 5 < a AND a < 6": "5 to 6", "a BETWEEN -1 AND 2.5": "-1 to 2.5",
		"a > 5": "5 to +Inf", "5 > a": "-Inf to 5", "a > 1 AND b BETWEEN 2 AND 3": "2 to 3", "a > 1 AND b = 2": "[{ 2}]",
		"a NOT BETWEEN 1 AND 2": "", "a > 1 OR a < 0": "", "a > b": "", "a + 1 > 2": "", "NOT a > 1": "",
		"JMSPriority > 4": "4 to +Inf", "JMSXDeliveryCount > 1": "", "a BETWEEN b AND 3": "", convertPrefix + "a > 1": "",
	} {
		got := ""
		if k, ok := mustParse(t, text, Options{}).Key(); ok && k.Ranged() {
			got = fmt.Sprint(k.Low, " to ", k.High)
		} else if ok {
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
