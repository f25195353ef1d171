package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// object is an object of the API's answers.
type object = map[string]any

// column is a field in a table.
type column struct {
	head, key string
	wide      bool // shown by -o wide only
}

var outputs = []string{"table", "wide", "json", "jsonl", "yaml"}

func checkOutput(o string) error {
	if slices.Contains(outputs, o) {
		return nil
	}
	return usagef("--output %q is none of %s", o, strings.Join(outputs, ", "))
}

// printList prints objects as the user wants them.
func printList(w io.Writer, output string, columns []column, items []object) error {
	switch output {
	case "json", "yaml":
		if items == nil {
			items = []object{}
		}
		return printValue(w, output, items)
	case "jsonl":
		for _, i := range items {
			if err := printValue(w, output, i); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var heads []string
	for _, c := range columns {
		if !c.wide || output == "wide" {
			heads = append(heads, c.head)
		}
	}
	fmt.Fprintln(t, strings.Join(heads, "\t"))
	for _, i := range items {
		var cells []string
		for _, c := range columns {
			if !c.wide || output == "wide" {
				cells = append(cells, cell(i[c.key]))
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// printOne prints one object: as a table, a line for each field.
func printOne(w io.Writer, output string, columns []column, item object) error {
	if output != "table" && output != "wide" {
		return printValue(w, output, item)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, c := range columns {
		if v, ok := item[c.key]; ok {
			fmt.Fprintf(t, "%s\t%s\n", c.head, cell(v))
		}
	}
	return t.Flush()
}

func printValue(w io.Writer, output string, v any) error {
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		return err
	case output == "yaml":
		b, err = config.YAML(b)
	case output == "json":
		var indented bytes.Buffer
		err = json.Indent(&indented, b, "", "  ")
		indented.WriteByte('\n')
		b = indented.Bytes()
	default:
		b = append(b, '\n')
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// cell is a value in a table. Names and bodies are what clients choose:
// control characters must not reach a terminal.
func cell(v any) string {
	const longest = 60
	var s string
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		s = v
	case object:
		if text, ok := v["text"].(string); ok {
			s = text
			break
		}
		b, err := json.Marshal(v)
		if err != nil {
			return "-"
		}
		s = string(b)
	default:
		s = fmt.Sprint(v)
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest-3]) + "..."
	}
	if s == "" {
		return "-"
	}
	return s
}
