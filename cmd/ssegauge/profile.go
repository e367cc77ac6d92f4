package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// notInProfile are flags that say how one run goes about it, not what the target is.
var notInProfile = []string{"profile", "help", "record", "replay", "dry-run"}

// applyProfile sets every flag that the file names and the command line did not, once. Keys are flag names; a group may be nested, with _ for - :
//
//	replay: {window: 1000, unknown_id: signal}    is --replay-window and --replay-unknown-id
//	replay: true                                  is --expect-replay
func (t *targetFlags) applyProfile(cmd *cobra.Command) error {
	file := t.profile
	if t.profile = ""; file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return usagef("--profile: %v", plain(err))
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return usagef("--profile %s: %v", file, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	if m := doc.Content[0]; m.Kind != yaml.MappingNode {
		return usagef("--profile %s:%d: a list of 'flag: value' lines is wanted", file, m.Line)
	}
	p := profile{file, cmd.Flags()}
	return p.apply("", doc.Content[0])
}

type profile struct {
	file  string
	flags *pflag.FlagSet
}

// apply sets the flags of a mapping whose keys stand under prefix.
func (p *profile) apply(prefix string, m *yaml.Node) error {
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		name := prefix + key.Value
		if prefix != "" {
			name = strings.ReplaceAll(name, "_", "-")
		}
		if name == "replay" && value.Kind == yaml.ScalarNode {
			name = "expect-replay"
		}
		var err error
		if value.Kind == yaml.MappingNode {
			err = p.apply(name+"-", value)
		} else {
			err = p.set(name, key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// set gives one flag the value or the values of a node.
func (p *profile) set(name string, key, value *yaml.Node) error {
	f := p.flags.Lookup(name)
	if f == nil || slices.Contains(notInProfile, name) {
		if slices.Contains(shared, name) || slices.Contains(cooperation, name) {
			return nil // another command's
		}
		return usagef("--profile %s:%d: unknown key %q: keys are flag names, as in 'window: 30s'", p.file, key.Line, key.Value)
	}
	if f.Changed {
		return nil
	}
	values := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		values = value.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return usagef("--profile %s:%d: %s takes a value or a list of values", p.file, v.Line, key.Value)
		}
		if err := f.Value.Set(v.Value); err != nil {
			return usagef("--profile %s:%d: %s: %v", p.file, v.Line, key.Value, err)
		}
	}
	return nil
}
