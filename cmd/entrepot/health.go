package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

func (p *program) healthCommand() *cobra.Command {
	var address string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running broker whether it is ready",
		Long: `Asks the console of a running broker whether it can take traffic, prints the
checks, and ends with 0 if it can, 1 if it can't or isn't there, and 7 if there
was no answer in time. It fits a container's health check.`,
		Example: "  entrepot health\n  entrepot health --console 127.0.0.1:8162 --timeout 1s",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				address = p.getenv(config.EnvPrefix + "CONSOLE_ADDRESS")
			}
			if address == "" {
				address = config.Default().Console.Address
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return p.probe(ctx, address)
		},
	}
	cmd.Flags().StringVar(&address, "console", "", "host:port of the broker's console (default ENTREPOT_CONSOLE_ADDRESS or 127.0.0.1:8161)")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "longest time to wait for the answer")
	return cmd
}

// probe asks a console for its readiness and prints the answer.
func (p *program) probe(ctx context.Context, address string) error {
	const longest = 64 << 10 // bytes of an answer that are printed
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("--console %q is not host:port", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // bound to every address: this one is the nearest
	}
	url := "http://" + net.JoinHostPort(host, port) + "/readyz?verbose"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usagef("--console %q is not host:port", address)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &timeoutError{fmt.Sprintf("no answer from %s in time: is the machine overloaded, or the port another program's?", address)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s: start a broker with \"entrepot serve\", or name its console with --console", address)
	case err != nil:
		return fmt.Errorf("can't ask %s: %w", address, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longest))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", address, err)
	}
	fmt.Fprintln(p.out, strings.TrimRight(string(body), "\n"))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the broker at %s is not ready (%s)", address, response.Status)
	}
	return nil
}
