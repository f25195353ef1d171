package api

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// spec is openapi.yaml as far as the contract needs it.
type spec struct {
	OpenAPI string                               `yaml:"openapi"`
	Paths   map[string]map[string]map[string]any `yaml:"-"`
	tree    map[string]any
}

func loadSpec(t *testing.T) *spec {
	t.Helper()
	s := &spec{}
	if err := yaml.Unmarshal(description, &s.tree); err != nil {
		t.Fatal(err)
	}
	return s
}

// at follows keys into the document.
func (s *spec) at(keys ...string) any {
	var v any = s.tree
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// deref follows a $ref.
func (s *spec) deref(v any) map[string]any {
	m, _ := v.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		return s.deref(s.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...))
	}
	return m
}

// check validates JSON against a schema of the components.
func (s *spec) check(schema string, body []byte) []string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{err.Error()}
	}
	return s.validate(map[string]any{"$ref": "#/components/schemas/" + schema}, v, schema)
}

func (s *spec) validate(schema, v any, at string) (problems []string) {
	m := s.deref(schema)
	if schema != nil && m == nil {
		return []string{at + ": the schema does not exist"}
	}
	complain := func(format string, args ...any) { problems = append(problems, at+": "+fmt.Sprintf(format, args...)) }
	if enum, ok := m["enum"].([]any); ok && !slices.Contains(enum, v) {
		complain("%v is none of %v", v, enum)
	}
	switch m["type"] {
	case "string":
		if _, ok := v.(string); !ok {
			complain("%v is no string", v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			complain("%v is no boolean", v)
		}
	case "number", "integer":
		if f, ok := v.(float64); !ok || m["type"] == "integer" && f != math.Trunc(f) {
			complain("%v is no %s", v, m["type"])
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			complain("%v is no array", v)
		}
		for i, e := range list {
			problems = append(problems, s.validate(m["items"], e, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case "object":
		problems = append(problems, s.validateObject(m, v, at)...)
	}
	return problems
}

func (s *spec) validateObject(m map[string]any, v any, at string) (problems []string) {
	o, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %v is no object", at, v)}
	}
	required, _ := m["required"].([]any)
	for _, k := range required {
		if _, ok := o[k.(string)]; !ok {
			problems = append(problems, fmt.Sprintf("%s: %s is missing", at, k))
		}
	}
	properties, _ := m["properties"].(map[string]any)
	for k, e := range o {
		p, known := properties[k]
		switch more := m["additionalProperties"]; {
		case known:
			problems = append(problems, s.validate(p, e, at+"."+k)...)
		case more == false:
			problems = append(problems, fmt.Sprintf("%s: %s is not described", at, k))
		case more != nil:
			problems = append(problems, s.validate(more, e, at+"."+k)...)
		}
	}
	return problems
}

func TestEveryRouteIsDescribedAndTheOtherWayRound(t *testing.T) {
	s := loadSpec(t)
	if s.at("openapi") != "3.1.0" {
		t.Errorf("version %v", s.at("openapi"))
	}
	described := map[string]map[string]any{}
	paths, _ := s.at("paths").(map[string]any)
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			if method != "parameters" {
				described[strings.ToUpper(method)+" "+path] = op.(map[string]any)
			}
		}
	}
	for _, r := range routes {
		if !strings.HasPrefix(r.Pattern, v1) {
			continue // compatibility: others wrote its description
		}
		op, ok := described[r.Method+" "+r.Pattern]
		if !ok {
			t.Errorf("%s %s is not described", r.Method, r.Pattern)
			continue
		}
		delete(described, r.Method+" "+r.Pattern)
		if op["operationId"] != r.Name || op["x-role"] != r.Role.String() {
			t.Errorf("%s %s is described as %v for %v, is %s for %s", r.Method, r.Pattern, op["operationId"], op["x-role"], r.Name, r.Role)
		}
	}
	for what := range described {
		t.Errorf("%s is described and does not exist", what)
	}
}

func TestEveryReferenceOfTheDescriptionLeadsSomewhere(t *testing.T) {
	s := loadSpec(t)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["$ref"]; ok && s.deref(v) == nil {
				t.Errorf("%v leads nowhere", v["$ref"])
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(s.tree)
}

// TestAnswersAreAsDescribed asks every route that answers with JSON, in an
// order in which each finds what it needs.
func TestAnswersAreAsDescribed(t *testing.T) {
	r, s := newRig(t), loadSpec(t)
	c := connectClient(t, r.Broker)
	ids := decode[list[connectionModel]](t, r.want(200, "", "GET", "/api/v1/connections", ""))
	conn := strconv.FormatUint(ids.Items[0].ID, 10)
	const text = `{"body":{"kind":"text","text":"x"},"properties":[{"name":"p","type":"int32","value":1}]}`
	asked := map[string]bool{}
	ask := func(name, body string, replace ...string) answer {
		t.Helper()
		i := slices.IndexFunc(routes, func(r Route) bool { return r.Name == name })
		route := routes[i]
		asked[name] = true
		a := r.ask(route.Method, strings.NewReplacer(append(replace, "{name}", "q")...).Replace(route.Pattern), body)
		responses, _ := s.at("paths", route.Pattern, strings.ToLower(route.Method), "responses").(map[string]any)
		described := s.deref(responses[strconv.Itoa(a.status)])
		if described == nil {
			t.Errorf("%s: %d is not described: %s", name, a.status, a.body)
			return a
		}
		content, _ := described["content"].(map[string]any)
		mime := a.header.Get("Content-Type")
		media, ok := content[mime].(map[string]any)
		if content == nil && a.body == "" {
			return a
		}
		if !ok {
			t.Errorf("%s: an answer of type %q is not described", name, mime)
			return a
		}
		if mime == "application/json" {
			var v any
			if err := json.Unmarshal([]byte(a.body), &v); err != nil {
				t.Fatal(err)
			}
			for _, p := range s.validate(media["schema"], v, name) {
				t.Error(p)
			}
		}
		return a
	}
	ask("getDescription", "")
	ask("createQueue", `{"name":"q"}`)
	ask("createQueue", `{"name":"dlq"}`)
	ask("sendToQueue", text)
	ask("sendToQueue", text)
	ask("sendToTopic", text, "{name}", "t")
	ask("getBroker", "")
	ask("getCaller", "")
	ask("listQueues", "")
	ask("getQueue", "")
	ask("pauseQueue", "")
	ask("resumeQueue", "")
	ask("listQueueConsumers", "")
	ref := decode[browsed](t, ask("browseQueue", "")).Items[0].Ref
	ask("getMessage", "", "{ref}", ref)
	ask("getMessageBody", "", "{ref}", ref)
	lines := ask("exportMessages", "").body
	ask("copyMessages", `{"to":"dlq","all":true}`)
	ask("moveMessages", `{"to":"dlq","messages":["`+ref+`"]}`)
	ask("retryMessages", `{"all":true}`, "{name}", "dlq")
	ask("deleteMessages", `{"all":true,"limit":1}`, "{name}", "dlq")
	ask("deleteMessage", "", "{ref}", decode[browsed](t, ask("browseQueue", "")).Items[0].Ref)
	ask("importMessages", lines)
	ask("purgeQueue", "")
	ask("listTopics", "")
	ask("listSubscriptions", "")
	ask("createTopic", `{"name":"defined"}`)
	ask("exportDefinitions", "")
	ask("importDefinitions", `{"version":1,"queues":[],"subscriptions":[{"clientId":"c","name":"s","topic":"t"}]}`)
	ask("sendToTopic", text, "{name}", "t")
	ask("browseSubscription", "", "{client}", "c", "{subscription}", "s")
	ask("purgeSubscription", "", "{client}", "c", "{subscription}", "s")
	ask("getSubscription", "", "{client}", "c", "{subscription}", "s")
	ask("deleteSubscription", "", "{client}", "c", "{subscription}", "s")
	ask("createSubscription", `{"clientId":"c","name":"s","topic":"t"}`)
	ask("createSubscription", `{"clientId":"c","name":"s","topic":"t"}`)
	ask("createTopic", `{"name":"made"}`)
	ask("listTopics", "")
	ask("getTopic", "", "{name}", "made")
	ask("deleteTopic", "", "{name}", "made")
	ask("getPolicy", "", "/policies", "/policies?destination=topic://t")
	ask("listConnections", "")
	ask("getConnection", "", "{id}", conn)
	ask("listConsumers", "")
	ask("listProducers", "")
	job := schedule(t, c)
	ask("listSchedules", "")
	ask("getSchedule", "", "{job}", job)
	ask("runSchedule", "", "{job}", job)
	ask("deleteSchedule", "", "{job}", job)
	first, second := prepare(t, c, "one"), prepare(t, c, "two")
	ask("listTransactions", "")
	ask("commitTransaction", "", "{transaction}", first)
	ask("rollbackTransaction", "", "{transaction}", second)
	ask("closeConnection", "", "{id}", conn)
	ask("deleteQueue", "", "{name}", "q")
	ask("getCluster", "")
	ask("listMembers", "")
	asked["stepDown"] = true     // TestSteppingDown
	asked["addMember"] = true    // TestNodesJoinAndLeave
	asked["removeMember"] = true // TestNodesJoinAndLeave
	asked["forceLeader"] = true  // TestAMasterIsForced
	asked["streamRates"] = true  // TestRatesAreStreamed
	for _, route := range routes {
		if strings.HasPrefix(route.Pattern, v1) && !asked[route.Name] {
			t.Errorf("%s was not asked", route.Name)
		}
	}
	if c.closed.Load() != 1 {
		t.Error("the connection was not closed")
	}
}

func TestProblemsAreAsDescribed(t *testing.T) {
	r, s := newRig(t), loadSpec(t)
	r.send("a", "1")
	for _, a := range []answer{
		r.ask("GET", "/api/v1/queues/none", ""), r.ask("GET", "/nothing", ""), r.ask("POST", "/api/v1/queues/a/import", "x"),
	} {
		for _, p := range s.check("Problem", []byte(a.body)) {
			t.Errorf("%s: %s", a.body, p)
		}
	}
}
