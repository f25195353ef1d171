package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix is what the environment variables of the broker start with.
const EnvPrefix = "ENTREPOT_"

// notSettings are variables with the prefix that the command line reads itself.
var notSettings = []string{"CONFIG", "SERVER", "LOGIN", "PASSCODE", "PASSCODE_FILE", "GUARDED"}

const maxValueFile = 64 << 10 // bytes of a file that a _FILE variable names

// Inputs are the places that settings come from, beside the defaults.
type Inputs struct {
	File  string   // "" for none
	Env   []string // as os.Environ returns it
	Flags []Flag   // in the order of the command line
}

// Flag is a setting given on the command line.
type Flag struct {
	Name   string // "--data-dir", as it is shown
	Key    string // "dataDir"
	Values []string
}

// SetFlag reads the argument of --set: key=value.
func SetFlag(arg string) (Flag, error) {
	k, v, ok := strings.Cut(arg, "=")
	if !ok || k == "" {
		return Flag{}, fmt.Errorf("--set %q is not key=value: write for example --set store.sync=interval", arg)
	}
	return Flag{Name: "--set", Key: strings.TrimSpace(k), Values: []string{v}}, nil
}

// Loaded is a configuration that passed [Config.Validate], and where its
// values came from.
type Loaded struct {
	Config
	// Warnings are oddities that don't keep the broker from starting.
	Warnings []string

	origins map[string]string
}

// Load lays file, environment and flags over the defaults and validates the
// result. Every error is an [*InvalidError].
func Load(in Inputs) (*Loaded, error) {
	l := &Loaded{Config: Default(), origins: map[string]string{}}
	root := schema()
	var problems []error
	if in.File != "" {
		problems = append(problems, l.applyFile(root, in.File))
	}
	problems = append(problems, l.applyEnv(root, in.Env), l.applyFlags(root, in.Flags))
	if err := Invalid(problems...); err != nil {
		return nil, err
	}
	if err := l.validate(l); err != nil {
		return nil, Invalid(err)
	}
	return l, nil
}

// Origin says where the value of a key came from: "entrepot.yaml:3",
// "ENTREPOT_LOG_LEVEL", "--set" or "default".
func (l *Loaded) Origin(key string) string {
	if o, ok := l.origins[key]; ok {
		return o
	}
	return "default"
}

// Problem makes the error of a value that turned out to be unusable where it
// is used, such as a listener URI.
func (l *Loaded) Problem(key string, err error) error {
	return &SettingError{Where: l.Origin(key), Key: key, Message: err.Error()}
}

func (l *Loaded) assign(k *key, origin string, values []string) error {
	v := reflect.ValueOf(&l.Config).Elem().FieldByIndex(k.index)
	if k.isList {
		v.Set(reflect.ValueOf(slices.Clone(values)))
		l.origins[k.path] = origin
		return nil
	}
	if err := k.set(v, values[len(values)-1]); err != nil {
		return &SettingError{Where: origin, Key: k.path, Message: err.Error()}
	}
	l.origins[k.path] = origin
	return nil
}

func (l *Loaded) applyEnv(root *key, environ []string) error {
	env := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			env[name] = value
		}
	}
	var problems []error
	for _, k := range root.settings() {
		name := k.env()
		value, given := env[name]
		file, named := env[name+"_FILE"]
		delete(env, name)
		delete(env, name+"_FILE")
		origin := name
		switch {
		case given && named:
			problems = append(problems, &SettingError{Where: name, Key: k.path, Message: "is set beside " + name + "_FILE", Hint: "set one of them"})
			continue
		case named:
			text, err := readFile(file, maxValueFile)
			if err != nil {
				problems = append(problems, &SettingError{Where: name + "_FILE", Key: k.path, Message: err.Error()})
				continue
			}
			value, origin = strings.TrimRight(text, "\r\n"), name+"_FILE"
		case !given:
			continue
		}
		values := []string{value}
		if k.isList {
			values = strings.Fields(value)
		}
		problems = append(problems, l.assign(k, origin, values))
	}
	l.warnUnknown(root, env)
	return errors.Join(problems...)
}

// warnUnknown reports variables that look like settings and are none. They
// are no errors: orchestrators make up variables with a service's name.
func (l *Loaded) warnUnknown(root *key, env map[string]string) {
	for _, name := range notSettings {
		delete(env, EnvPrefix+name)
	}
	var known []string
	for _, k := range root.settings() {
		known = append(known, k.env())
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if isServiceVariable(name) {
			continue
		}
		warning := "environment variable " + name + " is not a setting"
		if near, ok := nearest(name, known); ok {
			warning += "; did you mean " + near + "?"
		}
		l.Warnings = append(l.Warnings, warning)
	}
}

// isServiceVariable recognises what Kubernetes sets for a service of our name.
func isServiceVariable(name string) bool {
	rest := strings.TrimPrefix(name, EnvPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

func (l *Loaded) applyFlags(root *key, flags []Flag) error {
	var problems []error
	for _, f := range flags {
		k := root.find(f.Key)
		switch {
		case k == nil:
			problems = append(problems, &SettingError{Where: f.Name, Message: fmt.Sprintf("unknown key %q", clip(f.Key)), Hint: suggestPath(root, f.Key)})
			continue
		case !k.isLeaf():
			problems = append(problems, &SettingError{Where: f.Name, Key: k.path, Message: "is not a single value", Hint: "set it in the configuration file, or set a key below it"})
			continue
		}
		values := f.Values
		if f.Name == "--set" && k.isList {
			values = strings.Fields(f.Values[0])
		}
		problems = append(problems, l.assign(k, f.Name, values))
	}
	return errors.Join(problems...)
}

func suggestPath(root *key, path string) string {
	var known []string
	for _, k := range root.settings() {
		known = append(known, k.path)
	}
	if near, ok := nearest(path, known); ok {
		return "did you mean " + near + "?"
	}
	if !strings.Contains(path, ".") {
		return root.suggest(root, path)
	}
	return `"entrepot config show" lists the keys`
}
