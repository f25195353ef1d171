package stomp

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/protocols"
)

func TestAClientIsToldWhereTheMasterIs(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	var f protocols.Redirector = New(Options{})
	go f.Redirect(&protocols.Conn{Conn: a}, "b.example:61613")
	got, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ERROR\n", "\nredirect-to:b.example\\c61613\n", "at b.example:61613.\n\x00"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the frame %q has no %q", got, want)
		}
	}
}
