package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Bounds of a configuration file, well above any real one: what is beyond
// them is another kind of file. They also keep the YAML parser, whose time and
// memory grow with the square of the nesting, within a blink.
const (
	maxFile    = 64 << 10 // bytes
	maxLine    = 2 << 10  // bytes; bounds nesting within a line, and by indentation
	maxNesting = 50       // of flow style's brackets
)

// readFile reads a whole file of at most limit bytes.
func readFile(name string, limit int64) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("%s is larger than %s", name, Size(limit))
	}
	return string(b), nil
}

// fileReader lays one YAML document over a Config.
type fileReader struct {
	name     string // as shown: the base name
	src      string
	root     *key
	target   *Loaded
	problems []error
}

// applyFile lays the file over l.
func (l *Loaded) applyFile(root *key, path string) error {
	src, err := readFile(path, maxFile)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return &SettingError{Where: path, Message: "there is no such file", Hint: "check --config and ENTREPOT_CONFIG"}
		}
		return &SettingError{Where: path, Message: "can't be read: " + err.Error()}
	}
	return l.applyYAML(root, filepath.Base(path), src)
}

// applyYAML lays a YAML text over l. It goes on after a problem, so that the
// operator sees them all at once.
func (l *Loaded) applyYAML(root *key, name, src string) error {
	r := &fileReader{name: name, src: src, root: root, target: l}
	if err := checkShape(name, src); err != nil {
		return err
	}
	file, err := parser.ParseBytes([]byte(src), 0)
	if err != nil {
		return r.syntax(err)
	}
	seen := false
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if seen {
			r.fail(doc.Body, "", "a second document starts here", "keep one document in the file")
			break
		}
		seen = true
		r.section(root, reflect.ValueOf(&l.Config).Elem(), doc.Body, true)
	}
	return errors.Join(r.problems...)
}

// checkShape refuses texts that no operator wrote before they are parsed.
func checkShape(name, src string) error {
	const hint = "is it a configuration file?"
	depth := 0
	for i := range len(src) {
		switch src[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxNesting {
			return &SettingError{Where: name, Message: fmt.Sprintf("nests more than %d brackets", maxNesting), Hint: hint}
		}
	}
	n := 0
	for line := range strings.Lines(src) {
		n++
		if len(line) > maxLine {
			return &SettingError{Where: fmt.Sprintf("%s:%d", name, n), Message: fmt.Sprintf("the line is longer than %s", Size(maxLine)), Hint: hint}
		}
	}
	return nil
}

func (r *fileReader) syntax(err error) error {
	p := &SettingError{Where: r.name, Message: err.Error()}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		p.Message = "is not YAML: " + e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			p.Where = fmt.Sprintf("%s:%d:%d", r.name, t.Position.Line, t.Position.Column)
			p.Excerpt = excerpt(r.src, t.Position.Line, t.Position.Column)
		}
	}
	if strings.Contains(r.src, "\t") {
		p.Hint = "indent with blanks, not tabs"
	}
	return p
}

func (r *fileReader) position(n ast.Node) (line, column int) {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 1, 1
}

func (r *fileReader) fail(n ast.Node, path, message, hint string) {
	line, column := r.position(n)
	r.problems = append(r.problems, &SettingError{
		Where: fmt.Sprintf("%s:%d:%d", r.name, line, column), Key: path,
		Message: message, Hint: hint, Excerpt: excerpt(r.src, line, column),
	})
}

// section reads a mapping into the struct v.
func (r *fileReader) section(k *key, v reflect.Value, n ast.Node, tracked bool) {
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode: // everything below is commented out
		return
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		r.fail(n, k.path, "needs keys below it", "known here: "+strings.Join(k.childNames(), ", "))
		return
	}
	for _, e := range entries {
		name := e.Key.GetToken().Value
		c := k.child(name)
		if why := meaningless[name]; c == nil && why != "" && k.path == "destinationPolicy" {
			line, _ := r.position(e.Key)
			r.target.Warnings = append(r.target.Warnings, fmt.Sprintf("%s:%d: %s has no effect here: %s", r.name, line, name, why))
			continue
		}
		if c == nil {
			r.fail(e.Key, "", fmt.Sprintf("unknown key %q", clip(name)), k.suggest(r.root, name))
			continue
		}
		field := v.FieldByIndex(c.index[len(k.index):])
		if !c.isList && !c.isLeaf() {
			r.section(c, field, e.Value, tracked)
			continue
		}
		if r.value(c, field, e.Value) && tracked {
			line, _ := r.position(e.Key)
			r.target.origins[c.path] = fmt.Sprintf("%s:%d", r.name, line)
		}
	}
}

// value reads a list or a single value into v; it reports whether v was set.
func (r *fileReader) value(k *key, v reflect.Value, n ast.Node) bool {
	if k.isList {
		return r.list(k, v, n)
	}
	text, ok := scalar(n)
	if !ok {
		r.fail(n, k.path, "needs one value", k.doc)
		return false
	}
	if err := k.set(v, text); err != nil {
		r.fail(n, k.path, err.Error(), "")
		return false
	}
	return true
}

// list reads a sequence, of strings or of sections, into the slice v.
func (r *fileReader) list(k *key, v reflect.Value, n ast.Node) bool {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(n, k.path, "needs a list", `start each entry on a line of its own with "- "`)
		return false
	}
	if len(seq.Values) == 0 {
		v.SetZero()
		return true
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, entry := range seq.Values {
		if !k.isLeaf() {
			r.section(&key{path: k.path, children: k.children}, out.Index(i), entry, false)
			continue
		}
		text, ok := scalar(entry)
		if !ok {
			r.fail(entry, k.path, "needs one value in each entry", k.doc)
			continue
		}
		out.Index(i).SetString(text)
	}
	v.Set(out)
	return true
}

// scalar returns the text of a single value as it was written, without quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// clip shortens what a message quotes.
func clip(s string) string {
	const longest = 64
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
