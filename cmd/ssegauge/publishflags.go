package main

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
)

// publishFlags say how the target is made to emit an event; check and load share them.
type publishFlags struct {
	hook  publish.Hook
	body  string
	proto string
}

func (p *publishFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.hook.HTTP, "publish", "", "how to publish, `'METHOD URL'`: URL, fields and body are Go templates over .ID .Event .Data .Retry .Marker; .Origin is the target's")
	f.StringArrayVar(&p.hook.Header, "publish-header", nil, "field of the publish request, `'K: V'` (repeatable)")
	f.StringVar(&p.body, "publish-body", "", "body `template` of the publish request, or @file; functions json, urlquery")
	f.StringVar(&p.proto, "publish-http", "auto", "protocol of the publish request: auto|1.1|2|h2c")
	f.StringVar(&p.hook.Command, "publish-cmd", "", "publish by a shell `command` instead: fields in SSE_ID, SSE_EVENT, SSE_RETRY, data on stdin")
}

// at is the hook for a target; nil where none was given.
func (p *publishFlags) at(target *url.URL) (*publish.Hook, error) {
	if p.hook.HTTP == "" && p.hook.Command == "" && p.hook.Stdin == "" {
		if p.body != "" || len(p.hook.Header) > 0 {
			return nil, usagef("--publish-body and --publish-header describe a request: give --publish 'POST URL' with them")
		}
		return nil, nil
	}
	body, err := bodyOf(p.body)
	if err != nil {
		return nil, err
	}
	hook := p.hook
	if hook.Proto, err = plan.ParseProto(p.proto); err != nil {
		return nil, usagef("--publish-http: %v", err)
	}
	hook.HTTP, hook.Command, hook.Stdin, hook.Body = atOrigin(hook.HTTP, target), atOrigin(hook.Command, target), atOrigin(hook.Stdin, target), string(body)
	hook.Header = make([]string, len(p.hook.Header))
	for i, h := range p.hook.Header {
		hook.Header[i] = atOrigin(h, target)
	}
	return &hook, nil
}

// compile returns nil where no hook was given. The TLS settings are those of the target.
func (p *publishFlags) compile(d *wire.Dialer, target *url.URL) (*publish.Publisher, error) {
	hook, err := p.at(target)
	if hook == nil || err != nil {
		return nil, err
	}
	hook.TLS = d.TLS
	hook.AsStreams(d.Proto, target)
	publisher, err := publish.Compile(*hook)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return publisher, nil
}

var origin = regexp.MustCompile(`\{\{\s*\.Origin\s*\}\}`)

// usesOrigin tells whether the hook stands at the target's origin.
func (p *publishFlags) usesOrigin() bool {
	return origin.MatchString(strings.Join(append([]string{p.hook.HTTP, p.hook.Command, p.hook.Stdin}, p.hook.Header...), "\n"))
}

// atOrigin puts scheme, host and port of the target in the place of {{.Origin}}: with several targets, each has its own hooks.
func atOrigin(text string, target *url.URL) string {
	return origin.ReplaceAllLiteralString(text, target.Scheme+"://"+target.Host)
}
