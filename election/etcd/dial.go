package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/entrepot-mq/entrepot/election/nodekey"
)

// DialOptions say where an etcd is that isn't embedded.
type DialOptions struct {
	Endpoints      []string    // URLs or host:port
	TLS            *tls.Config // nil for plain connections; a ServerName in it is expected, if given, whatever host is dialled
	User, Password string
	Logger         *slog.Logger
}

// Dial makes a client. It doesn't wait for a connection. The caller closes it.
func Dial(o DialOptions) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, TLS: nodekey.Fixed(o.TLS), Username: o.User, Password: o.Password,
		DialTimeout: 3 * time.Second, DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
		Logger: zap.NewNop(), // what fails is returned
	})
	if err != nil {
		return nil, fmt.Errorf("reach etcd at %v: %w", o.Endpoints, err)
	}
	return c, nil
}

// Revoke ends a lease that another process has left behind. One that is gone
// already is no error.
func Revoke(ctx context.Context, c *clientv3.Client, id int64) error {
	_, err := c.Revoke(ctx, clientv3.LeaseID(id))
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("revoke lease %x: %w", id, err)
	}
	return nil
}
