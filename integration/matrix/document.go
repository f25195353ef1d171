package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// Document is the tables as docs/conversions.md shows them.
func Document() string {
	var b strings.Builder
	b.WriteString("### Bodies\n\n| Kind | Who sends it, how | ")
	for _, f := range Families {
		fmt.Fprintf(&b, "%s gets | ", f)
	}
	b.WriteString("\n|---|---" + strings.Repeat("|---", len(Families)) + "|\n")
	for _, row := range bodies {
		var sent []string
		for _, f := range Families {
			if len(row.sent[f]) > 0 {
				sent = append(sent, fmt.Sprintf("%s: %s", f, strings.Join(row.sent[f], ", ")))
			}
		}
		fmt.Fprintf(&b, "| %s | %s | ", row.kind, strings.Join(sent, "; "))
		for _, f := range Families {
			fmt.Fprintf(&b, "%s | ", row.got[f])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n### Types of properties, and of entries of maps and lists\n\n")
	b.WriteString("| Type | Sent by | STOMP and MQTT 5 see, as a property | AMQP | OpenWire |\n|---|---|---|---|---|\n")
	for _, row := range types {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", row.name, sendersOf(row), seenAs(row), row.amqp, row.openWire)
	}
	b.WriteString("\n### Headers\n\n| | ")
	columns := []Family{STOMP, MQTT5, AMQP, OpenWire}
	for _, f := range columns {
		fmt.Fprintf(&b, "%s | ", f)
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, row := range headers {
		fmt.Fprintf(&b, "| %s | ", row.name)
		for _, f := range columns {
			field := row.field[f]
			if field != "" && !row.send[f] {
				field += " (received only)"
			}
			fmt.Fprintf(&b, "%s | ", field)
		}
		b.WriteString("\n")
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

func sendersOf(row typeRow) string {
	list := []string{}
	if row.name == "string" {
		list = append(list, "all but MQTT 3")
	} else {
		list = append(list, "AMQP")
		if row.jms {
			list = append(list, "OpenWire")
		}
	}
	if !row.property {
		list = append(list, "in bodies only")
	}
	return strings.Join(slices.Compact(list), ", ")
}

func seenAs(row typeRow) string {
	if !row.property {
		return ""
	}
	return "`" + row.text + "`"
}
