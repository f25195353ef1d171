package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// mayImport is the architecture: which packages and modules a package may
// import beside the standard library. A name ending in "/..." is a tree. The
// rule of the nearest name counts; test files are free.
var mayImport = map[string]string{
	"core/message":  "",
	"core/selector": "core/message",
	"core/policy":   "core/message core/store",
	"core/security": "core/message golang.org/x/crypto/... golang.org/x/text/unicode/norm github.com/golang-jwt/jwt/v5",
	// Only tests import it.
	"core/security/scramtest": "",
	"core/latency":            "",
	"core/store":              "core/message core/latency core/store/log core/store/pages core/store/disk",
	"core/store/disk":         "golang.org/x/sys/...",
	"core/store/log":          "core/store/disk",
	// Only the pages know Badger.
	"core/store/pages": "core/store/disk github.com/dgraph-io/badger/v4/... google.golang.org/protobuf/... golang.org/x/sys/...",
	"core/queue":       "core/message core/store/... core/selector",
	"core/topic":       "core/message core/store/... core/selector core/queue",
	"core/schedule":    "core/message core/store/...",
	"core/broker":      "core/...",

	// No protocol knows another one or the store.
	"protocols":                 "",
	"protocols/websocket":       "protocols github.com/gorilla/websocket",
	"protocols/openwire":        "protocols protocols/openwire/wire core/message core/broker",
	"protocols/openwire/client": "protocols/openwire/wire core/message",
	"protocols/...":             "protocols core/message core/broker",
	"protocols/amqp/gen":        "",

	// replication knows the contract with the configuration's store, and none of those.
	"replication/...":   "core/message core/store/... election replication/... golang.org/x/sys/...",
	"election":          "golang.org/x/sys/...",
	"election/etcd/...": "election election/... go.etcd.io/... go.uber.org/zap/...",
	"election/...":      "election election/... golang.org/x/sys/...",

	"console/...": "console/... core/broker core/latency core/message core/policy core/security github.com/prometheus/...",

	"cmd/config":   "core/message core/policy core/selector core/store github.com/goccy/go-yaml/...",
	"cmd/bench":    "protocols/openwire/wire core/message github.com/HdrHistogram/hdrhistogram-go github.com/schollz/progressbar/v3 github.com/spf13/... golang.org/x/...",
	"cmd/entrepot": "core/... protocols/... replication/... election/... console/... cmd/... github.com/spf13/... github.com/go-stomp/stomp/v3/... github.com/eclipse/paho.mqtt.golang/... github.com/Azure/go-amqp golang.org/x/...",

	// Real clients talk to the real binary.
	"integration/...": "integration/... cmd/config github.com/go-stomp/stomp/v3/... github.com/gorilla/websocket github.com/Azure/go-amqp golang.org/x/...",
}

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	const module, root = "github.com/entrepot-mq/entrepot/", "../.."
	// The files are read here, not by "go list", so that go test's cache knows
	// of them and never answers for older ones.
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		from := filepath.ToSlash(rel)
		allowed, ok := ruleFor(from)
		if !ok {
			t.Errorf("%s has no rule in mayImport: add one on purpose", from)
			return nil
		}
		for _, spec := range parsed.Imports {
			to := strings.Trim(spec.Path.Value, `"`)
			if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			if to = strings.TrimPrefix(to, module); !permits(allowed, to) {
				t.Errorf("%s imports %s; %s may import only [%s]", file, to, from, allowed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ruleFor returns the most specific rule for pkg.
func ruleFor(pkg string) (allowed string, ok bool) {
	if allowed, ok = mayImport[pkg]; ok {
		return allowed, true
	}
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		if allowed, ok = mayImport[dir+"/..."]; ok {
			return allowed, true
		}
	}
	return "", false
}

func permits(patterns, pkg string) bool {
	for p := range strings.FieldsSeq(patterns) {
		tree, isTree := strings.CutSuffix(p, "/...")
		if p == pkg || isTree && (pkg == tree || strings.HasPrefix(pkg, tree+"/")) {
			return true
		}
	}
	return false
}

func TestRulesOfImportsAreFoundByTheNearestName(t *testing.T) {
	for _, test := range []struct {
		pkg, to string
		want    bool
	}{
		{"protocols/stomp", "core/broker", true},
		{"protocols/stomp", "core/store", false},
		{"protocols/stomp", "protocols/mqtt", false},
		{"protocols/websocket", "core/broker", false},
		{"election/etcd", "go.etcd.io/etcd/client/v3", true},
		{"election/filelock", "go.etcd.io/etcd/client/v3", false},
		{"core/store/log", "github.com/dgraph-io/badger/v4", false},
		{"core/store/pages", "github.com/dgraph-io/badger/v4/y", true},
		{"replication/simtest", "replication", true},
	} {
		allowed, ok := ruleFor(test.pkg)
		if !ok {
			t.Errorf("%s has no rule", test.pkg)
		}
		if got := permits(allowed, test.to); got != test.want {
			t.Errorf("%s may import %s: %v", test.pkg, test.to, got)
		}
	}
	if _, ok := ruleFor("somewhere/new"); ok {
		t.Error("an unknown package has a rule")
	}
}
