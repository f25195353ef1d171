package config

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// imageVariables are the settings that the image itself has.
func imageVariables(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docker", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, m := range regexp.MustCompile(`(ENTREPOT_[A-Z_]+)=("[^"]*"|\S+)`).FindAllStringSubmatch(string(text), -1) {
		if m[2] != "true" { // the example above the instructions
			env = append(env, m[1]+"="+strings.Trim(m[2], `"`))
		}
	}
	if len(env) != 2 {
		t.Fatalf("the image sets %q, want a data directory and listeners", env)
	}
	return env
}

// composed is as much of a compose file as matters here.
type composed struct {
	Services map[string]struct {
		Hostname    string            `yaml:"hostname"`
		Image       string            `yaml:"image"`
		Environment map[string]string `yaml:"environment"`
		Ports       []string          `yaml:"ports"`
		Volumes     []string          `yaml:"volumes"`
		Secrets     []string          `yaml:"secrets"`
		Command     []string          `yaml:"command"`
	} `yaml:"services"`
	Volumes map[string]any               `yaml:"volumes"`
	Secrets map[string]map[string]string `yaml:"secrets"`
}

// Nobody runs containers in the tests of this tree. What can be wrong without
// being noticed is checked here: names of settings, addresses, volumes, secrets.
func TestTheComposedGroupIsOneThatTheBrokerUnderstands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docker", "compose.cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file composed
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 3 {
		t.Fatalf("%d services", len(file.Services))
	}
	image := imageVariables(t)
	published := map[string]string{}
	for name, s := range file.Services {
		env := slices.Clone(image)
		for _, key := range slices.Sorted(maps.Keys(s.Environment)) {
			env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, key+"=") })
			env = append(env, key+"="+s.Environment[key])
		}
		cfg, err := Load(Inputs{Env: env})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(cfg.Warnings) > 0 {
			t.Errorf("%s: %q", name, cfg.Warnings)
		}
		c := &cfg.Cluster
		i := slices.IndexFunc(c.Peers(), func(p Peer) bool { return p.Node == c.Node })
		if !c.Replicated() || i < 0 || c.Peers()[i].Host != name || s.Hostname != name {
			t.Errorf("%s is node %q of %v, with the host name %q", name, c.Node, c.Nodes, s.Hostname)
		}
		if len(s.Volumes) != 1 || s.Volumes[0] != c.Node+":"+cfg.DataDir {
			t.Errorf("%s keeps %q in the volumes %q", name, cfg.DataDir, s.Volumes)
		} else if _, ok := file.Volumes[c.Node]; !ok {
			t.Errorf("%s has a volume %q that is not declared", name, c.Node)
		}
		if secret := filepath.Base(c.SecretFile); !slices.Equal(s.Secrets, []string{secret}) || c.SecretFile != "/run/secrets/"+secret || file.Secrets[secret]["file"] == "" {
			t.Errorf("%s reads %q, and has the secrets %q", name, c.SecretFile, s.Secrets)
		}
		listening := strings.Join(cfg.Listeners, " ") + " " + cfg.Console.Address + " "
		for _, p := range s.Ports {
			host, inside, _ := strings.Cut(p[strings.IndexByte(p, ':')+1:], ":")
			if !strings.Contains(listening, ":"+inside+" ") {
				t.Errorf("%s publishes %q and listens at %s", name, p, listening)
			}
			if published[host] != "" {
				t.Errorf("%s publishes port %s, as %s does", name, host, published[host])
			}
			published[host] = name
			if at, _, err := net.SplitHostPort(p[:strings.LastIndexByte(p, ':')]); err != nil || at != "127.0.0.1" {
				t.Errorf("%s publishes %q to other machines, and nobody has to authenticate", name, p)
			}
		}
	}
}

func TestTheImagesSettingsAreUnderstood(t *testing.T) {
	cfg, err := Load(Inputs{Env: append(imageVariables(t), "ENTREPOT_SECURITY_ALLOW_REMOTE=true")})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != "/data" || len(cfg.Listeners) != 5 || len(cfg.Warnings) > 0 {
		t.Errorf("data in %q, listeners %q, warnings %q", cfg.DataDir, cfg.Listeners, cfg.Warnings)
	}
}
