package etcd

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/election/etcd/embedded"
	"github.com/entrepot-mq/entrepot/election/nodekey"
)

func TestAnotherProcessRevokesALeaseOverTLS(t *testing.T) {
	key, err := nodekey.FromSecret("g", "a", "0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	files, err := key.WriteFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	addresses := freeAddresses(t)
	s, err := embedded.Start(t.Context(), embedded.Options{
		Node: "a", Group: "test", Dir: t.TempDir(), Members: map[string]string{"a": addresses[0]},
		ListenPeer: addresses[0], ListenClient: addresses[1], ClientAddress: addresses[1],
		Heartbeat: 20 * time.Millisecond, Election: 200 * time.Millisecond,
		TLS: &embedded.TLSFiles{Certificate: files.Certificate, Key: files.Key, CA: files.Authority, ServerName: files.ServerName},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	<-s.Ready()
	c := coordinator(t, Options{Client: s.Client(), Group: "g", Node: "a"})
	l, err := c.Grant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := Dial(DialOptions{Endpoints: []string{"https://" + addresses[1]}, TLS: key.AnyClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := Revoke(t.Context(), client, l.ID()); err != nil {
		t.Fatal(err)
	}
	if err := Revoke(t.Context(), client, l.ID()); err != nil {
		t.Error("a lease that is gone: ", err)
	}
	select {
	case <-l.Lost():
	case <-time.After(60 * time.Second):
		t.Error("the lease goes on")
	}
}
