package stomp

import (
	"bufio"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the server answers into the golden files")

var (
	goldenID   = regexp.MustCompile(`ID(\\c|:)(entrepot|test)-[0-9a-f]+-[0-9]+`)
	goldenTime = regexp.MustCompile(`timestamp:\d{13}`)
)

// TestGoldenConversations plays the lines that begin with ">" to a broker and
// compares what comes back, line by line, with those that begin with "<". A
// line "^@" stands for NUL; a client's frame waits until the answers that stand
// before it have come.
func TestGoldenConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conversation")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := converse(t, string(want))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// converse plays a conversation and returns it with the server's real answers.
func converse(t *testing.T, script string) string {
	t.Helper()
	r := newRig(t, nil)
	c := r.dial()
	in := bufio.NewReader(c.conn)
	var out, frame strings.Builder
	lines := strings.Split(strings.TrimSuffix(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case line == "<" || strings.HasPrefix(line, "< "):
			out.WriteString(answer(t, c, in))
			for i+1 < len(lines) && !strings.HasSuffix(lines[i], "^@") && strings.HasPrefix(lines[i], "<") {
				i++
			}
			continue
		case line == ">" || strings.HasPrefix(line, "> "):
			text := strings.TrimPrefix(strings.TrimPrefix(line, ">"), " ")
			if body, end := strings.CutSuffix(text, "^@"); end {
				frame.WriteString(body + "\x00\n")
				c.raw(frame.String())
				frame.Reset()
			} else {
				frame.WriteString(text + "\n")
			}
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// answer reads one frame and shows it as golden files do.
func answer(t *testing.T, c *client, in *bufio.Reader) string {
	t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(testWait))
	text, err := in.ReadString(0)
	if err != nil {
		return "< (closed)^@\n"
	}
	text = strings.TrimLeft(strings.TrimSuffix(text, "\x00"), "\n")
	text = goldenTime.ReplaceAllString(goldenID.ReplaceAllString(text, "ID"), "timestamp:T")
	var out strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		out.WriteString(strings.TrimSuffix("< "+line, " ") + "\n")
	}
	return strings.TrimSuffix(out.String(), "\n") + "^@\n"
}
