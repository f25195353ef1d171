package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// installTime bounds what one installation may take.
const installTime = 10 * time.Minute

// run runs a command in dir and puts what it printed into its error.
func run(ctx context.Context, dir, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

// cached returns a directory that install filled for that content, once for
// all runs on this machine.
func cached(kind string, content []byte, install func(dir string) error) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	sum := sha256.Sum256(content)
	dir := filepath.Join(base, "entrepot-integration", kind+"-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, ".installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil { // an installation that was cut off
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := install(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(done, nil, 0o600)
}

// Python returns a Python interpreter of an own environment that has what the
// requirements file names.
func Python(ctx context.Context, requirements string) (string, error) {
	python, err := Tool(ctx, "python3", "python3-venv")
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	dir, err := cached("python", content, func(dir string) error {
		if err := run(ctx, dir, python, "-m", "venv", dir); err != nil {
			return err
		}
		abs, err := filepath.Abs(requirements)
		if err != nil {
			return err
		}
		return run(ctx, dir, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", abs)
	})
	if err != nil {
		return "", fmt.Errorf("install Python packages: %w", err)
	}
	return filepath.Join(dir, "bin", "python"), nil
}

// Node copies a folder with package.json, package-lock.json and scripts to
// dir, where what the lock names is installed, and returns node's path.
func Node(ctx context.Context, folder, dir string) (string, error) {
	node, err := Tool(ctx, "node", "nodejs")
	if err != nil {
		return "", err
	}
	if _, err := Tool(ctx, "npm", "npm"); err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return "", err
	}
	modules, err := cached("node", lock, func(dir string) error {
		for _, name := range []string{"package.json", "package-lock.json"} {
			content, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				return err
			}
		}
		return run(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
	if err != nil {
		return "", fmt.Errorf("install Node packages: %w", err)
	}
	if err := copyFiles(folder, dir); err != nil {
		return "", err
	}
	return node, os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules"))
}

// Java installs what a pom.xml names and compiles the sources of a folder with
// it. It returns the path of java and the class path.
func Java(ctx context.Context, pom, sources, dir string) (java, classPath string, err error) {
	if java, err = Tool(ctx, "java", "default-jdk-headless"); err != nil {
		return "", "", err
	}
	javac, err := Tool(ctx, "javac", "default-jdk-headless")
	if err != nil {
		return "", "", err
	}
	maven, err := Tool(ctx, "mvn", "maven")
	if err != nil {
		return "", "", err
	}
	content, err := os.ReadFile(pom)
	if err != nil {
		return "", "", err
	}
	jars, err := cached("java", content, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), content, 0o600); err != nil {
			return err
		}
		return run(ctx, dir, maven, "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	})
	if err != nil {
		return "", "", fmt.Errorf("install Java libraries: %w", err)
	}
	list, err := filepath.Glob(filepath.Join(sources, "*.java"))
	if err != nil {
		return "", "", err
	}
	libraries := filepath.Join(jars, "lib", "*")
	if err := run(ctx, "", javac, append([]string{"-cp", libraries, "-d", dir}, list...)...); err != nil {
		return "", "", err
	}
	return java, dir + string(os.PathListSeparator) + libraries, nil
}

// copyFiles copies the files of a folder, not its folders.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type() != fs.FileMode(0) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Tool returns the path of a program, and installs the Debian package that has
// it if it is missing and this process may.
func Tool(ctx context.Context, name, debian string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if err := install(ctx, name, debian); err != nil {
		return "", err
	}
	return exec.LookPath(name)
}

func install(ctx context.Context, name, debian string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s is missing: install it (on Debian: apt-get install %s) and run the tests again", name, debian)
	}
	_ = run(ctx, "", "apt-get", "update") // lists that are there already may do
	if err := run(ctx, "", "apt-get", "install", "-y", "--no-install-recommends", debian); err != nil {
		return fmt.Errorf("%s is missing and can't be installed: %w", name, err)
	}
	return nil
}

// Cpp compiles a source with a library into program. The Debian package that has
// the library is installed if that fails, and this process may.
func Cpp(ctx context.Context, source, library, debian, program string) error {
	compiler, err := Tool(ctx, "g++", "g++")
	if err != nil {
		return err
	}
	compile := func() error { return run(ctx, "", compiler, "-std=c++14", "-o", program, source, "-l"+library) }
	if compile() == nil {
		return nil
	}
	if err := install(ctx, "lib"+library, debian); err != nil {
		return err
	}
	return compile()
}
