package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/pages"
)

const holdDirVar = "ENTREPOT_TEST_STORE_HOLD"

// holdStore is the child: it opens the store and holds it until its standard
// input ends.
func holdStore(dir string) int {
	s, err := Open(Options{Dir: dir}, newLedger())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	if err := s.Close(context.Background()); err != nil {
		return 1
	}
	return 0
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdDirVar+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	_, err = Open(Options{Dir: dir}, newLedger())
	if !errors.Is(err, pages.ErrLocked) {
		t.Errorf("error is %v, want ErrLocked", err)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir}, newLedger())
	if err != nil {
		t.Fatalf("after the first process has ended: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
