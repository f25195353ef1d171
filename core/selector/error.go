package selector

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error says what is wrong with a selector, and where.
type Error struct {
	Text   string // the selector
	Offset int    // in bytes: where in Text the trouble begins
	Reason string
}

// shown is how many characters before and after the place an error quotes.
const shown = 40

// Error returns the reason, the position counted in characters from 1, and
// the line with a caret below the character in question.
func (e *Error) Error() string {
	line, column := e.line()
	first := strings.Count(e.Text[:e.Offset], "\n") + 1
	before, after := []rune(line[:column]), []rune(line[column:])
	at := len(before) + 1
	if len(before) > shown {
		before = append([]rune("..."), before[len(before)-shown:]...)
	}
	if len(after) > shown {
		after = append(after[:shown:shown], []rune("...")...)
	}
	return fmt.Sprintf("%s (line %d, column %d)\n  %s%s\n  %s^", e.Reason, first, at,
		printable(before), printable(after), strings.Repeat(" ", len(before)))
}

// line returns the line that the error is in, and the offset there.
func (e *Error) line() (line string, column int) {
	start := strings.LastIndexByte(e.Text[:e.Offset], '\n') + 1
	end := len(e.Text)
	if n := strings.IndexByte(e.Text[e.Offset:], '\n'); n >= 0 {
		end = e.Offset + n
	}
	return e.Text[start:end], e.Offset - start
}

// printable replaces what would move the caret.
func printable(rs []rune) string {
	for i, r := range rs {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			rs[i] = ' '
		}
	}
	return string(rs)
}
