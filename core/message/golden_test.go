package message

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares named encodings with a file of lines "name hex". The
// formats are stored ones: a change that is meant needs a new version.
func golden(t *testing.T, file string, names []string, encoded map[string][]byte) {
	t.Helper()
	var b bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&b, "%s %x\n", name, encoded[name])
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, lines := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(lines)) {
		if i >= len(got) || i >= len(lines) || got[i] != lines[i] {
			t.Fatalf("%s, line %d:\ngot  %s\nwant %s", file, i+1, at(got, i), at(lines, i))
		}
	}
}

func at(lines []string, i int) string {
	if i >= len(lines) {
		return "(nothing)"
	}
	return lines[i]
}

// goldenInputs returns the encodings of a golden file, as seeds.
func goldenInputs(t testing.TB, file string) (all [][]byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		all = append(all, b)
	}
	return all
}
