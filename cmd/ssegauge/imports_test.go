package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is the architecture's import rule: what each package of the module may import beside the standard library. A
// trailing slash means everything below. Whatever is not listed is forbidden.
var allowed = map[string][]string{
	"cmd/ssegauge":                {"conformance/", "loadgen/", "reference/", "reports/", "github.com/spf13/", "github.com/vbauerster/mpb/", "go.yaml.in/yaml/", "golang.org/x/term"},
	"cmd/ssegauge/hostile":        {},
	"conformance":                 {"reference/", "reports/result"},
	"conformance/baseline":        {"conformance", "reports/result", "go.yaml.in/yaml/"},
	"conformance/serverchecks":    {"conformance", "reference/", "reports/result"},
	"conformance/catalogue":       {"conformance", "conformance/serverchecks", "reports/result"},
	"loadgen":                     {"loadgen/", "golang.org/x/sys/", "reference/wire", "reference/publish", "reports/result"},
	"loadgen/limits":              {"loadgen", "loadgen/engine", "loadgen/plan", "reference/sse", "reference/wire", "reference/publish", "reports/result"},
	"loadgen/bench":               {"golang.org/x/sys/", "golang.org/x/net/"},
	"loadgen/plan":                {"loadgen/schedule", "reference/wire", "reference/publish", "reports/result", "go.yaml.in/yaml/"},
	"loadgen/schedule":            {},
	"loadgen/measure":             {"reports/result", "github.com/HdrHistogram/"},
	"loadgen/engine":              {"loadgen/measure", "loadgen/schedule", "reference/sse", "reference/wire", "golang.org/x/sys/"},
	"reports":                     {"reports/"},
	"reports/result":              {"github.com/HdrHistogram/"},
	"reports/gate":                {"reports/result"},
	"reports/internal/reporttest": {"reports/result", "github.com/google/go-cmp/", "github.com/HdrHistogram/"},
	"reports/":                    {"reports/result", "reports/gate", "github.com/olekukonko/tablewriter/", "github.com/HdrHistogram/"},
	"reference/server":            {"reference/wire", "reference/sse"},
	"reference/server/raw":        {"reference/server", "reference/sse", "reference/wire", "golang.org/x/net/", "golang.org/x/sys/"},
	"reference/eventsource":       {"reference/wire", "reference/sse"},
	"reference/publish":           {"reference/wire"},
	"reference/wire":              {"reference/sse", "golang.org/x/net/"},
	"reference/sse":               {},
	"reference/interop":           {"go.yaml.in/yaml/"},
	"reference/interop/gosse":     {"github.com/tmaxmax/go-sse", "github.com/launchdarkly/eventsource"}, // the servers that are judged
}

// onlyIn names the packages that alone may import a module.
var onlyIn = map[string][]string{
	"github.com/vbauerster/mpb":         {"cmd/ssegauge"},
	"github.com/olekukonko/tablewriter": {"reports/text", "reports/markdown"},
	"github.com/chromedp/chromedp":      {"conformance/driver"},
}

// TestImports holds the rule "who may import whom". Test files are free.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "ssegauge/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], "ssegauge/")
		rule, ok := allowed[pkg]
		if !ok && strings.HasPrefix(pkg, "reports/") {
			rule, ok = allowed["reports/"], true
		}
		if !ok {
			t.Errorf("package %s is not in the import rule", pkg)
			continue
		}
		seen++
		for _, imp := range fields[1:] {
			name, ours := strings.CutPrefix(imp, "ssegauge/")
			if !ours && !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // standard library
			}
			if !slices.ContainsFunc(rule, func(r string) bool { return name == r || strings.HasSuffix(r, "/") && strings.HasPrefix(name+"/", r) }) {
				t.Errorf("%s imports %s, which the import rule forbids", pkg, imp)
			}
			for module, homes := range onlyIn {
				if strings.HasPrefix(imp, module) && !slices.Contains(homes, pkg) {
					t.Errorf("%s imports %s: only %v may", pkg, imp, homes)
				}
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}
