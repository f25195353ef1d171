package amqp

import (
	"errors"
	"testing"

	goamqp "github.com/Azure/go-amqp"
)

func TestClientsOfAStandbyAreToldWhereTheMasterIs(t *testing.T) {
	r := newRig(t, nil)
	r.elsewhere.Store("b.example:5673")
	for name, sasl := range map[string]goamqp.SASLType{"no SASL": nil, "anonymous": goamqp.SASLTypeAnonymous(), "plain": goamqp.SASLTypePlain("a", "b")} {
		c, err := goamqp.Dial(r.ctx, "amqp://"+r.address, &goamqp.ConnOptions{SASLType: sasl})
		if err == nil { // the close comes behind the open
			_, err = c.NewSession(r.ctx, nil)
			_ = c.Close()
		}
		var lost *goamqp.ConnError
		if !errors.As(err, &lost) || lost.RemoteErr == nil || lost.RemoteErr.Condition != goamqp.ErrCondConnectionRedirect {
			t.Fatalf("%s: %v", name, err)
		}
		info := lost.RemoteErr.Info
		if info["network-host"] != "b.example" || info["hostname"] != "b.example" || info["port"] != uint32(5673) {
			t.Errorf("%s: sent to %v", name, info)
		}
	}
}
