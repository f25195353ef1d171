package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const docsHead = `# Configuration

Every setting has a default, so a broker needs no configuration. Settings come
from four places; the first that has a value wins:

1. flags: ` + "`--set store.sync=interval`" + `; ` + "`--data-dir`, `--listen` and `--console`" + ` are short for three of them
2. environment: ` + "`ENTREPOT_STORE_SYNC=interval`" + `; with ` + "`_FILE`" + ` behind the name the variable names a file that holds the value
3. the file that ` + "`--config` or `ENTREPOT_CONFIG`" + ` names
4. the defaults

` + "`entrepot config show`" + ` prints all of them as a file to start from,
` + "`entrepot config show --origin`" + ` where each value came from, and
` + "`entrepot config check`" + ` says what is wrong, with line and column. An unknown key
is an error. Lists are separated by blanks in flags and variables.

Sizes are written ` + "`64MiB`, `512KiB`, `1GiB`" + ` (or ` + "`64m`" + `, or in bytes), times
` + "`10s`, `1m30s`, `250ms`, `2d`" + `.

## Example

` + "```yaml" + `
dataDir: /var/lib/entrepot
listeners:
  - stomp://127.0.0.1:61613?maximumConnections=5000
  - ws://127.0.0.1:61614
store:
  memory: 256MiB
destinationPolicy:
  - queue: "metrics.>"
    sync: never
  - queue: ">"
    redeliveryPolicy: {maximumRedeliveries: 5, initialRedeliveryDelay: 1s, useExponentialBackOff: true}
    deadLetterStrategy: {type: individual, queuePrefix: "DLQ."}
` + "```" + `

## Keys

| key | default | environment | meaning |
| --- | --- | --- | --- |
`

const docsDestinations = `
## Destinations

Each entry of ` + "`destinationPolicy`" + ` has one pattern and what holds for the destinations
that it selects: ` + "`*`" + ` stands for one element of a name, ` + "`>`" + ` at the end for all that
follow. Every entry that selects a destination counts, setting by setting; where
several have a setting, the most specific pattern decides: they are compared from
the left, and at the first element where they differ a name goes before ` + "`*`" + `, and
` + "`*`" + ` before ` + "`>`" + `. Of two entries with the same pattern the later one decides.

The names are those of ActiveMQ's policyEntry. Names of ActiveMQ's that have no
effect here are accepted with a warning; others that aren't in the table are
errors. [Queues](queues.md) and [topics](topics.md) say more about the settings.

| key | meaning |
| --- | --- |
`

const docsInterceptors = `
## Where messages go besides

` + "`destinationInterceptors`" + ` has three lists, whose entries are sections. [Topics](topics.md)
says what they do.

` + "```yaml" + `
destinationInterceptors:
  virtualTopics:
    - {name: "VirtualTopic.>", prefix: "Consumer.*."}
    - {name: "orders.>", prefix: "app.*.", selectorAware: true}
  composites:
    - queue: orders.in
      forwardTo:
        - {queue: orders.all}
        - {topic: orders.large, selector: "amount > 1000"}
  mirroredQueues:
    - queue: "payments.>"
` + "```" + `

| key | meaning |
| --- | --- |
`

func docs(l *Loaded) string {
	var b strings.Builder
	b.WriteString(docsHead)
	row := func(k *key, columns ...string) {
		doc := k.doc
		if len(k.choices) > 0 {
			doc += ": `" + strings.Join(k.choices, "`, `") + "`"
		}
		for _, c := range columns {
			fmt.Fprintf(&b, "| `%s` ", c)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.ReplaceAll(doc, "|", "\\|"))
	}
	root := schema()
	for _, k := range root.settings() {
		row(k, k.path, format(reflect.ValueOf(l.Config).FieldByIndex(k.index)), k.env())
	}
	b.WriteString(docsDestinations)
	below := func(k *key, prefix string) {
		for _, k := range k.children {
			if k.isLeaf() || k.isList {
				row(k, prefix+k.name)
			}
			for _, c := range k.children {
				row(c, prefix+k.name+"."+c.name)
			}
		}
	}
	below(root.child("destinationPolicy"), "")
	b.WriteString(docsInterceptors)
	for _, k := range root.child("destinationInterceptors").children {
		row(k, k.name)
		below(k, k.name+".")
	}
	return b.String()
}

func TestDocumentationListsEveryKey(t *testing.T) {
	l, err := Load(Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/configuration.md"
	got := docs(l)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update rewrites it):\n%s", file, diff)
	}
}
