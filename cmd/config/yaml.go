package config

import "github.com/goccy/go-yaml"

// YAML writes a JSON document as YAML.
func YAML(json []byte) ([]byte, error) { return yaml.JSONToYAML(json) }
