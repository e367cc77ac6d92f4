package junit_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// node is an element of any document.
type node struct {
	name  string
	attrs map[string]string
	kids  []*node
	text  string
}

func parse(r io.Reader) (*node, error) {
	root := new(node)
	stack := []*node{root}
	for d := xml.NewDecoder(r); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name.Local, attrs: map[string]string{}}
			for _, a := range tok.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			top.kids = append(top.kids, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(tok)
		}
	}
	if len(root.kids) != 1 {
		return nil, fmt.Errorf("%d root elements", len(root.kids))
	}
	return root.kids[0], nil
}

// schema is the part of XML Schema that testdata/junit.xsd is written in: global elements with sequences and choices of references, and
// attributes of simple types. What it does not know it refuses.
type schema map[string]*element

type element struct {
	children *regexp.Regexp // what the names of the children look like, each behind a space
	mixed    bool
	attrs    map[string]attribute
}

type attribute struct {
	kind     *regexp.Regexp
	required bool
}

var kinds = map[string]*regexp.Regexp{
	"xs:string":             regexp.MustCompile(`(?s)^.*$`),
	"xs:nonNegativeInteger": regexp.MustCompile(`^[0-9]+$`),
	"xs:decimal":            regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`),
	"xs:dateTime":           regexp.MustCompile(`^-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?$`),
}

func loadSchema(t *testing.T) schema {
	t.Helper()
	f, err := os.Open("testdata/junit.xsd")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := parse(f)
	if err != nil {
		t.Fatal(err)
	}
	s := schema{}
	for _, n := range doc.kids {
		e := &element{attrs: map[string]attribute{}, mixed: n.attrs["type"] == "xs:string"}
		content := ""
		for _, complexType := range n.kids {
			e.mixed = complexType.attrs["mixed"] == "true"
			for _, part := range complexType.kids {
				if part.name == "attribute" {
					e.attrs[part.attrs["name"]] = attribute{kinds[part.attrs["type"]], part.attrs["use"] == "required"}
					continue
				}
				content += particle(t, part)
			}
		}
		e.children = regexp.MustCompile("^" + content + "$")
		s[n.attrs["name"]] = e
	}
	return s
}

// particle turns a content model into an expression over the names of children.
func particle(t *testing.T, n *node) string {
	var parts []string
	sep := ""
	switch n.name {
	case "element":
		parts = []string{" " + n.attrs["ref"]}
	case "choice":
		sep = "|"
		fallthrough
	case "sequence":
		for _, k := range n.kids {
			parts = append(parts, particle(t, k))
		}
	default:
		t.Fatalf("the schema has an element %s", n.name)
	}
	times := map[string]string{"/": "", "0/": "?", "0/unbounded": "*", "1/unbounded": "+"}
	mark, ok := times[n.attrs["minOccurs"]+"/"+n.attrs["maxOccurs"]]
	if !ok {
		t.Fatalf("the schema has occurrences %v", n.attrs)
	}
	return "(?:" + strings.Join(parts, sep) + ")" + mark
}

func (s schema) validate(n *node) error {
	e, ok := s[n.name]
	if !ok {
		return fmt.Errorf("element %s", n.name)
	}
	var errs []error
	names := ""
	for _, k := range n.kids {
		names += " " + k.name
		errs = append(errs, s.validate(k))
	}
	if !e.children.MatchString(names) {
		errs = append(errs, fmt.Errorf("%s has the children%.80s", n.name, names))
	}
	if !e.mixed && strings.TrimSpace(n.text) != "" {
		errs = append(errs, fmt.Errorf("%s has text %q", n.name, n.text))
	}
	for name, value := range n.attrs {
		if a, ok := e.attrs[name]; !ok || !a.kind.MatchString(value) {
			errs = append(errs, fmt.Errorf("%s has %s=%q", n.name, name, value))
		}
	}
	for name, a := range e.attrs {
		if _, ok := n.attrs[name]; a.required && !ok {
			errs = append(errs, fmt.Errorf("%s has no %s", n.name, name))
		}
	}
	return errors.Join(errs...)
}

// The validator itself finds what is wrong.
func TestSchema(t *testing.T) {
	s := loadSchema(t)
	const suite = `<testsuite name="a" tests="1" failures="0" errors="0">`
	for doc, right := range map[string]bool{
		suite + `<testcase name="a" classname="b"><skipped/></testcase></testsuite>`:                                 true,
		suite + `<testcase name="a" classname="b"><failure type="x">t</failure><system-out/></testcase></testsuite>`: true,
		suite + `<testcase name="a"/></testsuite>`:                                                                   false,
		suite + `<testcase name="a" classname="b"><skipped/><error type="x"/></testcase></testsuite>`:                false,
		suite + `<testcase name="a" classname="b"><system-out/><skipped/></testcase></testsuite>`:                    false,
		suite + `<testcase name="a" classname="b"><failure>t</failure></testcase></testsuite>`:                       false,
		suite + `<testcase name="a" classname="b" time="1,5"/></testsuite>`:                                          false,
		suite + `<testcase name="a" classname="b" file="x"/></testsuite>`:                                            false,
		suite + `stray</testsuite>`: false,
		suite + `<system-out/><testcase name="a" classname="b"/></testsuite>`:   false,
		suite + `<case/></testsuite>`:                                           false,
		`<testsuite name="a" tests="-1" failures="0" errors="0"></testsuite>`:   false,
		`<testsuite name="a" tests="1" failures="0" errors="0" timestamp="x"/>`: false,
	} {
		n, err := parse(strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.validate(n); (err == nil) != right {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func (n *node) find(name string) []*node {
	var out []*node
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
		out = slices.Concat(out, k.find(name))
	}
	return out
}
