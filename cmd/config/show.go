package config

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Entry is one setting as "config show" prints it.
type Entry struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	Env    string `json:"env"`
	Doc    string `json:"doc"`
}

// Entries returns every setting but lists of sections, in the file's order.
func (l *Loaded) Entries() []Entry {
	var out []Entry
	v := reflect.ValueOf(l.Config)
	for _, k := range schema().settings() {
		out = append(out, Entry{Key: k.path, Value: format(v.FieldByIndex(k.index)), Origin: l.Origin(k.path), Env: k.env(), Doc: k.doc})
	}
	return out
}

// WriteOrigins prints a table of settings, values and where they came from.
func (l *Loaded) WriteOrigins(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tVALUE\tORIGIN")
	for _, e := range l.Entries() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Key, e.Value, e.Origin)
	}
	for _, list := range l.lists() {
		fmt.Fprintf(t, "%s\t%d entries\t%s\n", list.key, list.value.Len(), l.Origin(list.key))
	}
	return t.Flush()
}

// WriteYAML prints the settings as a configuration file that [Load] reads.
// Each key has its meaning beside it if comments is set.
func (l *Loaded) WriteYAML(w io.Writer, comments bool) error {
	p := &yamlPrinter{comments: comments}
	p.section(schema(), reflect.ValueOf(l.Config), "")
	_, err := io.WriteString(w, p.String())
	return err
}

type yamlPrinter struct {
	strings.Builder
	comments bool
}

func (p *yamlPrinter) section(k *key, v reflect.Value, indent string) {
	for _, c := range k.children {
		f := v.FieldByIndex(c.index[len(k.index):])
		if p.comments && c.doc != "" {
			choices := ""
			if len(c.choices) > 0 {
				choices = " (" + strings.Join(c.choices, ", ") + ")"
			}
			fmt.Fprintf(p, "%s# %s%s\n", indent, c.doc, choices)
		}
		switch {
		case c.isList && f.Len() == 0:
			fmt.Fprintf(p, "%s%s: []\n", indent, c.name)
		case c.isList:
			fmt.Fprintf(p, "%s%s:\n", indent, c.name)
			p.list(c, f, indent+"  ")
		case c.isLeaf():
			fmt.Fprintf(p, "%s%s: %s\n", indent, c.name, quoted(format(f)))
		default:
			fmt.Fprintf(p, "%s%s:\n", indent, c.name)
			p.section(c, f, indent+"  ")
		}
	}
}

func (p *yamlPrinter) list(k *key, v reflect.Value, indent string) {
	for i := range v.Len() {
		if k.isLeaf() {
			fmt.Fprintf(p, "%s- %s\n", indent, quoted(v.Index(i).String()))
			continue
		}
		dash := "- "
		for _, c := range k.children {
			if text := inline(c, v.Index(i).FieldByIndex(c.index)); text != "" {
				fmt.Fprintf(p, "%s%s%s: %s\n", indent, dash, c.name, text)
				dash = "  "
			}
		}
		if dash == "- " {
			fmt.Fprintf(p, "%s- {}\n", indent)
		}
	}
}

// inline writes a value, or the values that are given of a section, in one
// line; "" if none is.
func inline(k *key, v reflect.Value) string {
	if k.isLeaf() {
		if v.Kind() == reflect.Pointer && v.IsNil() || v.Kind() != reflect.Pointer && v.IsZero() {
			return ""
		}
		return quoted(format(v))
	}
	var parts []string
	if k.isList {
		for i := range v.Len() {
			parts = append(parts, inline(&key{children: k.children}, v.Index(i)))
		}
		if len(parts) == 0 {
			return ""
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	for _, c := range k.children {
		if text := inline(c, v.FieldByIndex(c.index[len(k.index):])); text != "" {
			parts = append(parts, c.name+": "+text)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// quoted writes a value so that YAML reads the same text again.
func quoted(s string) string {
	plain := s != "" && !strings.EqualFold(s, "null")
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '/'
		if !letter && (i == 0 || !strings.ContainsRune("-._+/", r)) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// Changed returns the keys whose values differ between l and other.
func (l *Loaded) Changed(other *Loaded) []string {
	var out []string
	theirs := other.Entries()
	for i, e := range l.Entries() {
		if e.Value != theirs[i].Value {
			out = append(out, e.Key)
		}
	}
	lists := other.lists()
	for i, list := range l.lists() {
		if !reflect.DeepEqual(list.value.Interface(), lists[i].value.Interface()) {
			out = append(out, list.key)
		}
	}
	return out
}

// sectionList is a setting that is a list of sections.
type sectionList struct {
	key   string
	value reflect.Value
}

// lists returns the settings that are lists of sections, in the file's order.
func (l *Loaded) lists() (out []sectionList) {
	var walk func(k *key)
	walk = func(k *key) {
		for _, c := range k.children {
			switch {
			case c.isList && !c.isLeaf():
				out = append(out, sectionList{c.path, reflect.ValueOf(l.Config).FieldByIndex(c.index)})
			case !c.isList:
				walk(c)
			}
		}
	}
	walk(schema())
	return out
}
