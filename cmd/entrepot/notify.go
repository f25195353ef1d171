package main

import (
	"context"
	"fmt"
	"net"
)

// notifier tells systemd how the service is (sd_notify). Without
// NOTIFY_SOCKET it tells nobody.
type notifier struct{ socket string }

func (p *program) notifier() notifier { return notifier{p.getenv("NOTIFY_SOCKET")} }

func (n notifier) tell(ctx context.Context, state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", n.socket)
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	if _, err = conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
