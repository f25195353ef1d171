package main

import (
	"context"
	"io"
	"os"
	"strings"
)

// program is what a command has of the world around it.
type program struct {
	in       io.Reader
	out, err io.Writer
	env      []string // as os.Environ returns it
}

func main() {
	p := &program{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ()}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// getenv returns the last value of a variable, "" if it isn't set.
func (p *program) getenv(name string) string {
	value := ""
	for _, e := range p.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}
