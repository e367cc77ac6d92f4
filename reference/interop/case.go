package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Case is one server and what is expected of it. In every string $PORT, $UPSTREAM (two free ports), $BASE (http://127.0.0.1:$PORT), $PROGRAM (the
// program that judges) and $DIR (a directory that is thrown away, with a fresh key.pem, cert.pem and both.pem in it) are replaced.
type Case struct {
	Name   string     `yaml:"name"`
	Needs  []string   `yaml:"needs"`  // programs that must be there; ./name: a file of the folder
	Build  []string   `yaml:"build"`  // a program that makes what is started, run in the case's folder
	Render []string   `yaml:"render"` // files of the folder that are copied to $DIR with these replacements
	Start  [][]string `yaml:"start"`  // programs, started in this order in the case's folder
	Path   string     `yaml:"path"`
	HTTP   string     `yaml:"http"`  // 1.1, h2c, 2
	TLS    bool       `yaml:"tls"`   // with 2 in any case
	Flags  []string   `yaml:"flags"` // for check, load and watch alike

	Publish *Publish          `yaml:"publish"`
	Exit    int               `yaml:"exit"`   // of check
	Checks  []string          `yaml:"checks"` // further flags of check
	Expect  map[string]string `yaml:"expect"` // id: verdict; what is not listed may neither fail, warn nor err
	Load    *Load             `yaml:"load"`
	Limits  *Limits           `yaml:"limits"` // instead of check, load and watch: limits alone is run
	Watch   string            `yaml:"watch"`  // a pattern that a watcher must see; with Publish it is what is published

	// First: it takes the longest, and is started before the others.
	First bool `yaml:"first"`
	// Optional: what it needs comes from a place that is not always there. It is then said to be missing, and nothing else happens.
	Optional bool `yaml:"optional"`

	folder string
}

// lacks is what c needs and is not there.
func (c *Case) lacks() []string {
	var missing []string
	for _, n := range c.Needs {
		var err error
		if strings.HasPrefix(n, "./") {
			_, err = os.Stat(filepath.Join(c.folder, n))
		} else {
			_, err = exec.LookPath(n)
		}
		if err != nil {
			missing = append(missing, n)
		}
	}
	return missing
}

// Publish is how this server is made to emit an event, in ssegauge's own terms.
type Publish struct {
	Request string   `yaml:"request"` // METHOD URL
	Header  []string `yaml:"header"`
	Body    string   `yaml:"body"`
}

// Load is a run of load.
type Load struct {
	Streams  int      `yaml:"streams"`
	Duration string   `yaml:"duration"`
	Flags    []string `yaml:"flags"`
	// Exit is the code that is expected.
	Exit int `yaml:"exit"`
	// Silent: no stream can open in that time, and that is the server's (or its proxy's) doing.
	Silent bool `yaml:"silent"`
	// Doubles: the server sends an event twice now and then, by a race of its own.
	Doubles bool `yaml:"doubles"`
}

// Limits is a run of limits against a server that was set up to have some: what it is set to must come back, and nothing else.
type Limits struct {
	Flags  []string         `yaml:"flags"`
	Exit   int              `yaml:"exit"`
	Expect map[string]Bound `yaml:"expect"` // by id; what is not listed may not be found
}

// Bound is what is to be said of one limit.
type Bound struct {
	Verdict string   `yaml:"verdict"` // found where empty
	Is      *float64 `yaml:"is"`      // what the server is set to: has to lie between low and high
	Slack   float64  `yaml:"slack"`   // by so much either may miss it, and they may be twice that apart; seconds pass until they are noticed
	Owner   string   `yaml:"owner"`
	Says    string   `yaml:"says"` // a pattern in the evidence
}

// load reads every YAML file one level below folder: each is a list of cases.
func load(folder string) ([]*Case, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.yaml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var cases []*Case
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		var list []*Case
		d := yaml.NewDecoder(f)
		d.KnownFields(true)
		if err := d.Decode(&list); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, c := range list {
			c.folder = filepath.Dir(file)
		}
		cases = append(cases, list...)
		f.Close()
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no server under %s: run this at the top of the repository, or give -dir", folder)
	}
	return cases, nil
}

// place is where a case runs.
type place struct {
	port, upstream int
	dir, program   string
}

func (p place) expand(s string) string {
	return strings.NewReplacer("$PORT", fmt.Sprint(p.port), "$UPSTREAM", fmt.Sprint(p.upstream), "$DIR", p.dir,
		"$PROGRAM", p.program, "$BASE", fmt.Sprintf("http://127.0.0.1:%d", p.port)).Replace(s)
}

func (p place) expandAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = p.expand(s)
	}
	return out
}
