package selector

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// car is the message that most selectors of the tables look at.
var car = props{
	"make": "Volvo", "colour": "deep blue", "doors": 5, "seats": int64(4), "engine": 1.8, "owed": -3,
	"sold": false, "leased": true, "none": 0, "half": message.FloatValue(0.5), "tenth": message.FloatValue(0.1),
	"code": "A_1%", "quote": "it's", "empty": "", "nothing": nil, "blob": message.BinaryValue([]byte{1}),
	"dish": "fish🐟chips", "big": int64(1 << 62), "huge": message.Uint64Value(1 << 63), "content-type": "x/y",
	"sym": message.SymbolValue("s"), "when": message.TimestampValue(77),
}

func TestSelectorsSelect(t *testing.T) {
	m := newMessage(message.EncodingAMQP, car.list())
	for _, g := range []struct {
		name     string
		yes, not []string
	}{
		{"logical operators", []string{
			"make = 'Volvo' AND doors = 5", "make = 'Saab' OR doors = 5", "NOT make = 'Saab'", "NOT (make = 'Saab' AND sold)",
			"leased", "NOT sold", "TRUE", "missing OR leased", "leased OR missing", "leased OR doors", "NOT (missing AND sold)",
			"NOT NOT leased", "make = 'Volvo' AND (doors > 4 OR engine > 3)", "leased AND NOT sold = TRUE",
		}, []string{
			"sold", "missing", "NOT missing", "sold OR missing", "leased AND missing", "FALSE", "doors", "make", "blob",
			"NOT (missing OR leased)", "NOT leased AND leased", "NOT (sold OR missing)",
		}},
		{"comparison operators", []string{
			"doors = 5", "5 = doors", "doors <> 4", "doors > 4", "doors >= 5", "doors < 6", "doors <= 5", "doors = 5.0",
			"engine > 1", "engine >= 1.8", "engine < 2", "leased = TRUE", "sold <> TRUE", "leased <> sold", "half = 0.5",
			"seats < doors", "make = make", "make > colour = FALSE", "big > 4611686018427387903", "huge > big", "tenth = 0.1F",
			"when = 77", "sym = 's'", "doors > 4 = TRUE", "(doors > 4) = leased",
		}, []string{
			"doors <> 5", "doors > 5", "doors < 5", "make = 'volvo'", "make <> 'Volvo'", "tenth = 0.1",
			"doors = '5'", "doors <> '5'", "make = 5", "make <> 5", "make > 5", "make < 5", "leased > 0", "leased >= sold",
			"leased = 'true'", "missing = 5", "missing <> 5", "missing = missing", "blob = 'x'", "blob <> 'x'", "blob = blob",
		}},
		{"arithmetic operators", []string{
			"doors + 1 = 6", "doors - 6 = -1", "doors * engine = 9.0", "doors / 2 = 2", "doors / 2.0 = 2.5", "doors % 3 = 2",
			"owed % 2 = -1", "-owed = 3", "+owed = -3", "-(-owed) = owed", "6 - -doors = 11", "2 + 3 * doors = 17",
			"(2 + 3) * doors = 25", "20 - doors - 5 = 10", "100 / doors / 2 = 10", "5.5 % 2 = 1.5", "half + half = 1",
			"big * 4 > big", "-9223372036854775807 - doors < 0", "-9223372036854775808 / -1 > 0",
			"-9223372036854775808 % -1 = 0", "-(-9223372036854775808) > 0", "9223372036854775807 + 1 > 9e18",
		}, []string{
			"doors / none = 0", "doors % none = 0", "doors / 0.0 > 0", "doors % 0.0 = 0", "NOT doors / none = 1", "missing + 1 = 1",
			"make + 1 = 1", "-make = 1", "+make = 'Volvo'", "leased + 1 = 2", "big * 4 = 0",
		}},
		{"string comparison", []string{
			"quote = 'it''s'", "empty = ''", "'it''s' = quote", "dish = 'fish🐟chips'", "'a' = 'a'", "'Volvo' = make",
		}, []string{"empty <> ''", "'a' = 'A'", "quote = 'it'", "nothing = ''"}},
		{"like operator", []string{
			"make LIKE 'Volvo'", "make LIKE 'V%'", "make LIKE '%o'", "make LIKE '%l%o'", "make LIKE 'V___o'", "make LIKE '%'",
			"colour LIKE '%p_b%'", "colour LIKE 'd%b%e'", "empty LIKE ''", "empty LIKE '%'", "empty LIKE '%%'", "make NOT LIKE 'S%'",
			"code LIKE 'A\\_1\\%' ESCAPE '\\'", "code LIKE 'A!_%' ESCAPE '!'", "code LIKE '_/__/%' ESCAPE '/'", "dish LIKE 'fish_chips'",
			"dish LIKE '%🐟%'", "dish LIKE '__________'", "dish LIKE '%h_c%'", "code LIKE 'A🐟_1%' ESCAPE '🐟'",
		}, []string{
			"make LIKE 'volvo'", "make LIKE 'Vol'", "make LIKE 'V__o'", "make LIKE '_Volvo'", "make NOT LIKE 'V%'", "empty LIKE '_'",
			"missing LIKE '%'", "missing NOT LIKE '%'", "doors LIKE '5'", "doors NOT LIKE '5'", "code LIKE 'A\\%' ESCAPE '\\'",
			"make LIKE 'V.*'", "make LIKE '%Volvo_'", "make LIKE 'Volvo%o'", "blob LIKE '%'",
		}},
		{"in operator", []string{
			"make IN ('Saab', 'Volvo')", "make IN ('Volvo')", "make NOT IN ('Saab')", "empty IN ('')", "quote IN ('it''s')",
			"make IN ('a','b','c','d','e','f','g','h','i','Volvo')", "NOT make IN ('Saab')",
		}, []string{
			"make IN ('Saab')", "make NOT IN ('Saab', 'Volvo')", "missing IN ('a')", "missing NOT IN ('a')", "doors IN ('5')",
			"doors NOT IN ('5')", "make IN ('a','b','c','d','e','f','g','h','i','volvo')",
		}},
		{"between", []string{
			"doors BETWEEN 5 AND 6", "doors BETWEEN 4 AND 5", "doors NOT BETWEEN 6 AND 9", "doors BETWEEN 2 + 2 AND 2 * 3 AND leased",
			"engine BETWEEN 1 AND seats", "NOT doors BETWEEN 6 AND 7", "doors NOT BETWEEN 6 AND missing OR leased",
			"doors NOT BETWEEN 9 AND missing",
		}, []string{
			"doors BETWEEN 6 AND 4", "doors NOT BETWEEN 5 AND 5", "missing BETWEEN 1 AND 2", "missing NOT BETWEEN 1 AND 2",
			"doors BETWEEN missing AND 9", "make BETWEEN 1 AND 2", "make NOT BETWEEN 1 AND 2", "NOT doors NOT BETWEEN 4 AND missing",
		}},
		{"null handling", []string{
			"missing IS NULL", "make IS NOT NULL", "nothing IS NULL", "blob IS NOT NULL", "doors / none IS NULL", "JMSReplyTo IS NULL",
			"(missing > 1) IS NULL", "missing IS NULL AND leased", "make IS NULL OR leased",
		}, []string{"make IS NULL", "missing IS NOT NULL", "empty IS NULL", "NOT missing IS NULL"}},
		{"literals", []string{
			"doors = 0x5", "doors = 0X5L", "doors = 05", "doors = 5L", "doors = 5l", "12 = 014", "255 = 0xFf", "0 = 00", "0L = 0",
			"engine = 1.8D", "engine = 1.8d", "half = .5", "5. = doors", "half = 0.5F", "doors = 5f", "-9223372036854775808 < 0",
			"9223372036854775807 > 0", "0x7fffffffffffffff > 0", "leased = true", "sold = False",
		}, []string{"012 = 12", "1.8F = engine"}},
		{"scientific notation", []string{
			"5e0 = doors", "5E+0 = doors", "50e-1 = doors", ".5e1 = doors", "5.e0 = doors", "1e3 = 1000", "1E3D = 1000",
		}, nil},
		{"precedence and parentheses", []string{
			"leased OR sold AND sold", "NOT sold AND leased", "NOT sold OR sold", "NOT doors = 4", "doors + 1 > 5 AND doors - 1 < 5",
			"((((doors))) = (5))", "NOT (NOT (leased))", "doors = 5 = leased", "leased = NOT sold",
		}, []string{"(leased OR sold) AND sold", "NOT (sold AND leased OR leased)"}},
		{"case sensitivity", []string{
			"make like 'V%' And doors Between 1 aNd 9", "not sold oR FALSE", "make iN ('Volvo')", "missing is Null",
			"code LIKE 'A!_%' escape '!'",
		}, []string{"MAKE = 'Volvo'", "Make IS NOT NULL", "jmspriority = 4"}},
		{"white space and comments", []string{
			" \t\r\n\fdoors\n=\n5 ", "doors -- how many\n = 5", "doors = 5 -- the end", "/* a */doors/* * / **/=5",
			"doors=5/**/AND/* - */leased", "doors>4 AND(leased)", "doors--\r=5",
		}, nil},
		{"identifiers", []string{
			`"content-type" = 'x/y'`, `"make" = 'Volvo'`, "doors=5", "$x IS NULL", "_x1$ IS NULL", "größe IS NULL", "ORDER IS NULL",
			"INside IS NULL", `"a""b" IS NULL`, `"not" IS NULL`,
		}, []string{"content-type = 'x/y'"}},
	} {
		t.Run(g.name, func(t *testing.T) {
			for _, s := range g.yes {
				wantMatch(t, s, Options{}, m, true)
			}
			for _, s := range g.not {
				wantMatch(t, s, Options{}, m, false)
			}
		})
	}
}

func TestStringPropertiesAreConvertedWhereANumberIsDemanded(t *testing.T) {
	list := props{
		"price": "10.50", "qty": "9", "ten": "10", "flag": "TRUE", "off": "false", "name": "abc", "neg": "-3", "plus": "+4",
		"odd": "1-2", "inf": "Infinity", "hex": "0x10", "nan": "NaN", "long": "12345678901234567890123", "empty": "", "us": "1_0",
	}.list()
	yes := []string{
		"price > 10", "10 < price", "price = 10.5", "price BETWEEN 10 AND 11", "qty + 1 = 10", "-qty = -9", "qty * 2 > price",
		"qty < ten", "flag", "flag = TRUE", "NOT off", "off <> TRUE", "neg < 0", "plus = 4", "name = 'abc'", "ten = '10'", "ten <> '10.0'",
		"long > 1e22", "qty IN ('9')", "qty LIKE '9'", "ten / 4 = 2", "off OR flag", "name > empty", "+plus = 4",
		"qty NOT BETWEEN 10 AND 11", "NOT name",
	}
	not := []string{
		"name > 10", "name <> 10", "name + 1 = 1", "odd > 0", "odd = 1", "inf > 0", "hex = 16", "nan = 1", "empty = 0",
		"empty < 1", "us = 10", "name = FALSE", "name <> FALSE",
	}
	on := Options{ConvertStrings: true}
	stomp, amqp := newMessage(message.EncodingSTOMP, list), newMessage(message.EncodingAMQP, list)
	for _, s := range yes {
		wantMatch(t, s, on, stomp, true)
		wantMatch(t, convertPrefix+s, Options{}, amqp, true)
	}
	for _, s := range not {
		wantMatch(t, s, on, stomp, false)
	}
	for _, s := range []string{"price > 10", "flag", "qty + 1 = 10", "ten = 10"} {
		wantMatch(t, s, Options{}, stomp, false)
		wantMatch(t, s, on, amqp, false) // typed: a string is meant to be one
	}
}

func TestHeadersComeFromTheEnvelope(t *testing.T) {
	m := newMessage(message.EncodingAMQP, props{"JMSType": "not this"}.list(), func(e *message.Envelope) {
		e.Destination, e.Origin = message.Queue("dead"), message.Topic("news.uk")
		e.ReplyTo = message.Destination{Kind: message.KindTempQueue, Name: "t1"}
		e.Durable, e.Priority, e.Type, e.CorrelationID = true, 7, "alert", "c1"
		e.Timestamp, e.Expiry, e.GroupID, e.GroupSeq, e.UserID, e.Redeliveries = 5000, 9000, "g", -2, "ann", 1
		e.Annotations = []message.Annotation{{Name: "reason", Value: "expired"}}
	})
	for _, s := range []string{
		"JMSDestination = 'topic://news.uk'", "JMSReplyTo = 'temp-queue://t1'", "JMSReplyTo LIKE 'temp-%' AND JMSDestination LIKE '%.uk'",
		"JMSReplyTo <> JMSDestination", "JMSDestination = JMSDestination",
		"JMSDeliveryMode = 'PERSISTENT'", "JMSPriority = 7", "JMSType = 'alert'", "JMSCorrelationID = 'c1'", "JMSTimestamp = 5000",
		"JMSExpiration > JMSTimestamp", "JMSXGroupID = 'g'", "JMSXGroupSeq = -2", "JMSXUserID = 'ann'", "JMSRedelivered",
		"JMSXDeliveryCount = 2", "JMSMessageID = 'ID:entrepot-1f-42'", "reason = 'expired'", "JMSXProducerTXID IS NULL",
	} {
		wantMatch(t, s, Options{}, m, true)
	}
	plain := newMessage(message.EncodingAMQP, nil, func(e *message.Envelope) { e.MessageID = "mine" })
	for _, s := range []string{
		"JMSDestination = 'queue://q'", "JMSReplyTo IS NULL", "JMSDeliveryMode = 'NON_PERSISTENT'", "JMSType IS NULL", "NOT JMSRedelivered",
		"JMSXDeliveryCount = 1", "JMSMessageID = 'mine'", "JMSXGroupID IS NULL", "JMSXUserID IS NULL", "JMSExpiration = 0",
	} {
		wantMatch(t, s, Options{}, plain, true)
	}
	s := mustParse(t, "JMSRedelivered AND JMSXDeliveryCount = 4", Options{})
	if !s.OfDelivery() || !s.MatchesAttempt(plain, converters, 3) || s.Matches(plain, converters) {
		t.Error("failed attempts at the queue don't count")
	}
	if mustParse(t, "JMSPriority = 4", Options{}).OfDelivery() {
		t.Error("JMSPriority is said to depend on the delivery")
	}
}

func TestOfDuplicatePropertiesTheFirstCounts(t *testing.T) {
	m := newMessage(message.EncodingMQTT, []message.Property{
		{Name: "a", Value: message.StringValue("1")}, {Name: "a", Value: message.StringValue("2")},
	})
	wantMatch(t, "a = '1'", Options{}, m, true)
	wantMatch(t, "a = '2'", Options{}, m, false)
}

func TestMessageThatCannotBeReadHasNoProperties(t *testing.T) {
	bad := message.New(&message.Envelope{Destination: message.Queue("q"), Priority: 4}, message.EncodingSTOMP, []byte{0xff, 0xff})
	foreign := message.New(&message.Envelope{Destination: message.Queue("q"), Priority: 4}, message.EncodingOpenWire, nil)
	for _, m := range []*message.Message{bad, foreign} {
		wantMatch(t, "a IS NULL AND JMSPriority = 4", Options{}, m, true)
		wantMatch(t, "a = 'x'", Options{}, m, false)
	}
}

func TestCanonicalText(t *testing.T) {
	for in, want := range map[string]string{
		"a=1 or b=2 or not c": "a = 1 OR b = 2 OR NOT c", "(a=1) and ((b=2) or c)": "a = 1 AND (b = 2 OR c)",
		"a-(b-c)>0x10": "a - (b - c) > 16", "- - a < -  5": "-(-a) < -5", "a between(1)and 2.50e1": "a BETWEEN 1 AND 25.0",
		"not(a like 'x''%' escape '!')": "NOT a LIKE 'x''%' ESCAPE '!'", `"in" not in('a',/**/'b')`: `"in" NOT IN ('a', 'b')`,
		"a is not null=true": "a IS NOT NULL = TRUE", "NOT(a AND b)": "NOT (a AND b)", "(a)=(not b)": "a = (NOT b)",
	} {
		if got := mustParse(t, in, Options{}).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
