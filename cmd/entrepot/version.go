package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: go build -ldflags "-X main.version=1.2.3".
var version = "dev"

// buildInfo is what this binary was made of.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, if the build knew it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func build() buildInfo {
	b := buildInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

func (p *program) versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Prints the version of this binary.",
		Example: "  entrepot version\n  entrepot version -o json",
		Args:    arguments(0),
		RunE: func(*cobra.Command, []string) error {
			b := build()
			switch output {
			case "json":
				return json.NewEncoder(p.out).Encode(b)
			case "text":
				_, err := fmt.Fprintf(p.out, "entrepot %s (%s, %s)\n", b.Version, b.Go, b.Platform)
				return err
			}
			return usagef("--output %q is neither text nor json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}
