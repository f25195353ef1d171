package bench

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressInterval is how often a run shows where it is and samples memory.
const progressInterval = 250 * time.Millisecond

// progress shows a run on a terminal, and nothing elsewhere.
type progress struct {
	bar   *progressbar.ProgressBar // nil when there is no terminal
	phase string
}

// newProgress writes to w if it is a terminal.
func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// begin names what happens now.
func (p *progress) begin(phase string) {
	p.phase = phase
	p.show(totals{})
}

func (p *progress) show(t totals) {
	p.count(fmt.Sprintf("%d sent, %d delivered", t.sent, t.delivered), t.sent+t.delivered)
}

// count shows done of something. Errors of a terminal are nobody's concern.
func (p *progress) count(what string, done int64) {
	if p.bar == nil {
		return
	}
	p.bar.Describe(p.phase + ": " + what)
	_ = p.bar.Set64(done)
}

// end clears the line.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
