package config

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// key describes one setting, or one section of them.
type key struct {
	path     string // store.syncInterval
	name     string // syncInterval
	doc      string
	choices  []string
	index    []int // of the field in Config, or in the element of a list of sections
	children []*key
	isList   bool // of strings, or with children of sections
}

// isLeaf reports whether the key holds a value itself.
func (k *key) isLeaf() bool { return len(k.children) == 0 }

func (k *key) child(name string) *key {
	for _, c := range k.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (k *key) childNames() []string {
	names := make([]string, len(k.children))
	for i, c := range k.children {
		names[i] = c.name
	}
	return names
}

// env returns the name of the environment variable: store.syncInterval is
// ENTREPOT_STORE_SYNC_INTERVAL.
func (k *key) env() string {
	var b strings.Builder
	b.WriteString(EnvPrefix)
	for _, r := range k.path {
		switch {
		case r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r):
			b.WriteByte('_')
			b.WriteRune(r)
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

// schema returns the root of Config's keys.
func schema() *key {
	return &key{children: fields(reflect.TypeFor[Config](), "", nil)}
}

func fields(t reflect.Type, prefix string, index []int) []*key {
	var out []*key
	for i := range t.NumField() {
		f := t.Field(i)
		k := &key{
			name:    f.Tag.Get("key"),
			path:    prefix + f.Tag.Get("key"),
			doc:     f.Tag.Get("doc"),
			choices: strings.Fields(f.Tag.Get("oneof")),
			index:   append(slices.Clip(index), i),
		}
		if f.Anonymous { // a part of the section that is defined elsewhere
			out = append(out, fields(f.Type, prefix, k.index)...)
			continue
		}
		section, base := f.Type, k.index
		if k.isList = f.Type.Kind() == reflect.Slice; k.isList {
			section, base = f.Type.Elem(), nil
		}
		if section.Kind() == reflect.Struct {
			k.children = fields(section, k.path+".", base)
		}
		out = append(out, k)
	}
	return out
}

// settings returns the keys that hold one value or a list of strings, which
// is what the environment and flags can set, in the order of the file.
func (k *key) settings() []*key {
	var out []*key
	for _, c := range k.children {
		switch {
		case c.isLeaf():
			out = append(out, c)
		case !c.isList:
			out = append(out, c.settings()...)
		}
	}
	return out
}

// find returns the key of a path.
func (k *key) find(path string) *key {
	for name := range strings.SplitSeq(path, ".") {
		if k = k.child(name); k == nil {
			return nil
		}
	}
	return k
}

// suggest says what a user who wrote the unknown name under k may have meant.
func (k *key) suggest(root *key, name string) string {
	if c := root.find(name); strings.Contains(name, ".") && c != nil {
		section := strings.TrimSuffix(c.path, "."+c.name)
		return "write it as a section: \"" + section + ":\" and \"" + c.name + ":\" indented below"
	}
	if near, ok := nearest(name, k.childNames()); ok {
		return "did you mean " + near + "?"
	}
	for _, s := range root.settings() {
		if strings.EqualFold(s.name, name) {
			return "did you mean " + s.path + "?"
		}
	}
	return "known here: " + strings.Join(k.childNames(), ", ")
}
