package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/html"
	"ssegauge/reports/result"
)

// demoPage is where demo writes its report.
const demoPage = "ssegauge-demo.html"

type demoFlags struct {
	output  outputFlags
	streams int
	page    string
}

func newDemo(a *app) *cobra.Command {
	var d demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Check and load the reference server, and write a report",
		Long: `Starts the reference server on a free loopback port, judges it, loads it over HTTP/1.1 and over HTTP/2 in the
clear, prints the reports, writes them as one HTML page, and stops. It takes less than a minute.`,
		Example: `  ssegauge demo
  ssegauge demo --streams 5000 --page /tmp/demo.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context(), a) },
	}
	f := cmd.Flags()
	f.IntVar(&d.streams, "streams", 1000, "streams of each load run")
	f.StringVar(&d.page, "page", demoPage, "`file` for the HTML report")
	f.StringVar(&d.output.color, "color", "auto", "colour: auto|always|never (NO_COLOR is honoured)")
	f.BoolVar(&d.output.quiet, "quiet", false, "no progress on stderr")
	d.output.format = "text"
	return cmd
}

func (d *demoFlags) run(ctx context.Context, a *app) error {
	if err := d.output.check(); err != nil {
		return err
	}
	base, stop, err := startServer()
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(a.stdout, "The reference server runs at %s. The same by hand:\n\n", base)
	const hook = `--publish 'POST http://localhost:8080/publish' --publish-body '{"data":{{json .Data}}}'`
	fmt.Fprintf(a.stdout, "  ssegauge serve\n  ssegauge check http://localhost:8080/events %s\n  ssegauge load  http://localhost:8080/events %s --streams %d\n\n", hook, hook, d.streams)

	var runs []*result.Run
	for _, part := range []func() (*result.Run, error){
		func() (*result.Run, error) { return d.check(ctx, a, base) },
		func() (*result.Run, error) { return d.load(ctx, a, base, wire.HTTP11) },
		func() (*result.Run, error) { return d.load(ctx, a, base, wire.H2C) },
	} {
		run, perr := part()
		if run != nil {
			runs = append(runs, run)
			if werr := d.output.write(a.stdout, a.stderr, run); werr != nil {
				return werr
			}
			fmt.Fprintln(a.stdout)
		}
		if perr != nil {
			err = perr
			break
		}
	}
	if len(runs) > 0 {
		if werr := writeFile(d.page, func(w io.Writer) error { return html.Render(w, runs...) }); werr != nil {
			return plain(werr)
		}
		fmt.Fprintf(a.stdout, "The same as a page: %s\n", d.page)
	}
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run.Status() == result.Failed {
			return &outcome{exitFailed, "the reference server did not pass: " + run.Sentence()}
		}
	}
	return nil
}

// startServer runs `ssegauge serve` on a free loopback port. It is a process of its own, so that what the load run
// says of its own processor time, memory and delay is not the server's.
func startServer() (base string, stop func(), err error) {
	cmd, err := self("serve", "--listen", "127.0.0.1:0", "--until-stdin-ends")
	if err != nil {
		return "", nil, err
	}
	return loadgen.StartServer(context.Background(), cmd)
}

// publishTo is the hook that publishes on the reference server's channel.
func publishTo(base, channel string) (publish.Hook, *wire.Request, error) {
	u, err := url.Parse(base + "/events?channel=" + channel)
	if err != nil {
		return publish.Hook{}, nil, err
	}
	hook := publish.Hook{
		HTTP:   "POST " + base + "/publish?channel=" + channel,
		Header: []string{"Content-Type: application/json"},
		Body:   `{"data":{{json .Data}},"event":{{json .Event}},"id":{{json .ID}}}`,
	}
	return hook, &wire.Request{URL: u, Header: wire.Header{{Name: "Accept", Value: "text/event-stream"}}}, nil
}

func (d *demoFlags) check(ctx context.Context, a *app, base string) (*result.Run, error) {
	hook, req, err := publishTo(base, "check")
	if err != nil {
		return nil, err
	}
	publisher, err := publish.Compile(hook)
	if err != nil {
		return nil, err
	}
	checks, err := catalogue.Filter(catalogue.All(), nil, nil)
	if err != nil {
		return nil, err
	}
	run, err := runCheck(ctx, a, conformance.Run, conformance.Target{
		Request: *req, Dialer: wire.Dialer{HeadTimeout: 10 * time.Second}, Publisher: publisher,
		Window: 10 * time.Second, ExpectReplay: true,
	}, checks, conformance.Options{}, d.output.quiet, "")
	if err != nil {
		return nil, err
	}
	return run, interruption(ctx, run)
}

func (d *demoFlags) load(ctx context.Context, a *app, base string, proto wire.Proto) (*result.Run, error) {
	hook, req, err := publishTo(base, "load-"+proto.String())
	if err != nil {
		return nil, err
	}
	p := &plan.Plan{
		Targets: []plan.Target{{URL: req.URL.String(), Request: req, Dialer: &wire.Dialer{Proto: proto}}},
		Streams: d.streams, Ramp: time.Second, Hold: 6 * time.Second,
		Publish: &plan.Publish{HTTP: hook.HTTP, Header: hook.Header, Body: hook.Body, Rate: 20, Size: 100},
	}
	return runLoad(ctx, a, p, d.output.quiet, withCanary)
}
