package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// document returns a file of the repository.
func document(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheReadmeShowsTheBannerAndThePortsOfTheDefaults(t *testing.T) {
	readme := document(t, "README.md")
	banner := "listeners=" + strings.Join(config.Default().Listeners, ",") + " console=http://" + config.Default().Console.Address + "\n"
	banner = strings.ReplaceAll(banner, "tcp://", "openwire://") // as the banner names it
	if !strings.Contains(readme, banner) {
		t.Errorf("README.md has no banner with %s", banner)
	}
	for _, uri := range config.Default().Listeners {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		row := "| " + u.Port() + " |"
		if !strings.Contains(readme, row) || !strings.Contains(readme, "`--listen "+uri+"`") {
			t.Errorf("README.md's table of ports has no %s for %s", row, uri)
		}
	}
}

func TestTheContainerServesWhatTheDefaultsServe(t *testing.T) {
	dockerfile := document(t, "docker", "Dockerfile")
	var listeners, ports []string
	for _, uri := range config.Default().Listeners {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, u.Scheme+"://0.0.0.0:"+u.Port())
		ports = append(ports, u.Port())
	}
	for _, want := range []string{`ENTREPOT_LISTENERS="` + strings.Join(listeners, " ") + `"`, "EXPOSE " + strings.Join(ports, " ")} {
		if !strings.Contains(dockerfile, want+"\n") {
			t.Errorf("docker/Dockerfile has no %s", want)
		}
	}
}
