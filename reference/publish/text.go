package publish

import (
	"encoding/json"
	"errors"
	"strings"
	"text/template"
	"text/template/parse"
)

// text is one compiled template of a hook.
type text struct {
	part   string
	t      *template.Template
	fields map[string]bool // fields of Message it mentions
	funcs  map[string]bool // functions it calls
	zero   string          // filled with the zero message
	pieces []piece         // what it is made of, where that is text and fields alone: much quicker to fill, and a burst fills hundreds
}

// piece is a run of text, or a field as it is or through a function.
type piece struct {
	text  string
	field func(*Message) string // nil: text
	form  string                // name of the function; "": none
}

// Functions are those that templates of requests may call, beside the ones that are built in.
func Functions() template.FuncMap { return functions }

var functions = template.FuncMap{
	"json": quoted,
	// urlquery is built into text/template.
}

func quoted(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func compile(part, src string) (*text, error) {
	t, err := template.New("hook").Option("missingkey=error").Funcs(functions).Parse(src)
	if err != nil {
		return nil, &HookError{part, plain(err)}
	}
	x := &text{part: part, t: t, fields: map[string]bool{}, funcs: map[string]bool{}}
	for _, named := range t.Templates() {
		if named.Tree != nil {
			x.walk(named.Root, false)
		}
	}
	// Filling it once finds the names that do not exist; the rest of a template's errors cannot depend on strings.
	if x.zero, err = x.fill(&Message{}); err != nil {
		return nil, &HookError{part, err.(*CarryError).Reason}
	}
	x.pieces = piecesOf(t.Root)
	return x, nil
}

// piecesOf takes a template apart; nil where it holds anything else than text and fields.
func piecesOf(root *parse.ListNode) []piece {
	ps := []piece{}
	for _, n := range root.Nodes {
		if text, ok := n.(*parse.TextNode); ok {
			ps = append(ps, piece{text: string(text.Text)})
			continue
		}
		action, ok := n.(*parse.ActionNode)
		if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 {
			return nil
		}
		args := action.Pipe.Cmds[0].Args
		var p piece
		if name, ok := args[0].(*parse.IdentifierNode); ok && (name.Ident == "json" || name.Ident == "urlquery") {
			p.form, args = name.Ident, args[1:]
		}
		if len(args) != 1 {
			return nil
		}
		field, ok := args[0].(*parse.FieldNode)
		if !ok || len(field.Ident) != 1 {
			return nil
		}
		if p.field = fields[field.Ident[0]]; p.field == nil {
			return nil
		}
		ps = append(ps, p)
	}
	return ps
}

var fields = map[string]func(*Message) string{
	"ID": func(m *Message) string { return m.ID }, "Event": func(m *Message) string { return m.Event }, "Data": func(m *Message) string { return m.Data },
	"Retry": func(m *Message) string { return m.Retry }, "Comment": func(m *Message) string { return m.Comment }, "Marker": func(m *Message) string { return m.Marker },
}

func (x *text) fill(m *Message) (string, error) {
	var b strings.Builder
	if x.pieces != nil {
		for i := range x.pieces {
			switch p := &x.pieces[i]; {
			case p.field == nil:
				b.WriteString(p.text)
			case p.form == "json":
				s, err := quoted(p.field(m))
				if err != nil {
					return "", &CarryError{x.part, err.Error()}
				}
				b.WriteString(s)
			case p.form == "urlquery":
				b.WriteString(template.URLQueryEscaper(p.field(m)))
			default:
				b.WriteString(p.field(m))
			}
		}
		return b.String(), nil
	}
	if err := x.t.Execute(&b, m); err != nil {
		return "", &CarryError{x.part, plain(err)}
	}
	return b.String(), nil
}

func (x *text) uses(field string) bool { return x.fields[field] || x.fields["."] }

// mediaType guesses the type of a body from its template alone, so that it is the same for every message.
func (x *text) mediaType() string {
	if s := strings.TrimSpace(x.zero); s != "" && (s[0] == '{' || s[0] == '[') && json.Valid([]byte(s)) {
		return "application/json"
	}
	if x.funcs["urlquery"] {
		return "application/x-www-form-urlencoded"
	}
	return "text/plain; charset=utf-8"
}

// walk collects the fields and functions that a tree mentions. inner: the dot is no longer the message.
func (x *text) walk(n parse.Node, inner bool) {
	branch := func(b *parse.BranchNode, rebinds bool) {
		x.walk(b.Pipe, inner)
		x.walkList(b.List, inner || rebinds)
		x.walkList(b.ElseList, inner)
	}
	switch n := n.(type) {
	case *parse.ListNode:
		x.walkList(n, inner)
	case *parse.ActionNode:
		x.walk(n.Pipe, inner)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				x.walk(a, inner)
			}
		}
	case *parse.FieldNode:
		x.fields[n.Ident[0]] = true
	case *parse.ChainNode:
		x.walk(n.Node, inner)
		x.fields[n.Field[0]] = true
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			x.fields[n.Ident[1]] = true
		} else if n.Ident[0] == "$" {
			x.fields["."] = true
		}
	case *parse.DotNode:
		if !inner {
			x.fields["."] = true
		}
	case *parse.IdentifierNode:
		x.funcs[n.Ident] = true
	case *parse.IfNode:
		branch(&n.BranchNode, false)
	case *parse.WithNode:
		branch(&n.BranchNode, true)
	case *parse.RangeNode:
		branch(&n.BranchNode, true)
	case *parse.TemplateNode:
		x.walk(n.Pipe, inner)
	}
}

func (x *text) walkList(l *parse.ListNode, inner bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		x.walk(n, inner)
	}
}

// plain makes one line of a template's error: without the template's name, and with what would be right.
func plain(err error) string {
	var ee template.ExecError
	if errors.As(err, &ee) {
		err = ee.Err
	}
	s := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "template: "), "\n", " ")
	return s + "; a template may use .ID .Event .Data .Retry .Comment .Marker and the functions json and urlquery"
}
