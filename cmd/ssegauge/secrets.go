package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ssegauge/reports/result"
)

// secretsOf are the credentials among all that a command was given: a target can send them back, and an error quote it.
func secretsOf(cmd *cobra.Command) result.Secrets {
	var s result.Secrets
	take := func(value string) {
		for word := range strings.FieldsSeq(value) {
			s = append(s, result.URLSecrets(word)...)
		}
		if name, value, ok := strings.Cut(value, ":"); ok {
			s = append(s, result.FieldSecrets(strings.TrimSpace(name), value)...)
		}
	}
	for _, arg := range cmd.Flags().Args() {
		take(arg)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		list, ok := f.Value.(interface{ GetSlice() []string })
		if !ok {
			take(f.Value.String())
			return
		}
		for _, value := range list.GetSlice() {
			take(value)
		}
	})
	return s
}
