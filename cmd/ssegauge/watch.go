package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

type watchFlags struct {
	target   targetFlags
	color    string
	format   string
	count    int
	duration time.Duration
	lastID   string
}

func newWatch(a *app) *cobra.Command {
	var w watchFlags
	cmd := &cobra.Command{
		Use:   "watch URL",
		Short: "Print a stream as it comes, parsed, with times",
		Long: `Opens one stream and prints each event as it arrives: the time since the request, the
event's type, its id and its data. It does not reconnect. Ctrl-C ends it and sums up; the sum goes to stderr.`,
		Example: `  ssegauge watch http://localhost:8080/events
  ssegauge watch http://localhost:8080/tick?interval=200ms --count 5
  ssegauge watch https://api.example/v1/stream -H 'Authorization: Bearer ...' --body @prompt.json
  ssegauge watch http://localhost:8080/events --format ndjson | jq .data`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), a, cmd, args[0]) },
	}
	w.target.add(cmd)
	f := cmd.Flags()
	f.IntVar(&w.count, "count", 0, "stop after this many events (0: no limit)")
	f.DurationVar(&w.duration, "duration", 0, "stop after this time (0: no limit)")
	f.StringVar(&w.lastID, "last-event-id", "", "resume: send this Last-Event-ID")
	f.StringVar(&w.format, "format", "text", "form of the events on stdout: text|ndjson")
	f.StringVar(&w.color, "color", "auto", "colour: auto|always|never (NO_COLOR is honoured)")
	return cmd
}

func (w *watchFlags) run(ctx context.Context, a *app, cmd *cobra.Command, rawURL string) error {
	req, dialer, err := w.target.load(cmd, rawURL)
	if err != nil {
		return err
	}
	out := outputFlags{format: "text", color: w.color}
	if err := out.check(); err != nil {
		return err
	}
	if w.format != "text" && w.format != "ndjson" {
		return usagef("--format %q is unknown: text or ndjson is right", w.format)
	}
	if w.count < 0 || w.duration < 0 {
		return usagef("--count and --duration cannot be negative")
	}
	if w.lastID != "" {
		if strings.ContainsAny(w.lastID, "\r\n\x00") {
			return usagef("--last-event-id cannot hold CR, LF or NUL")
		}
		req.Header = append(req.Header, wire.Field{Name: "Last-Event-ID", Value: w.lastID})
	}
	dialer.Decode = true
	if w.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w.duration, errWatchTime)
		defer cancel()
	}
	stream, err := dialer.Open(ctx, req)
	if err != nil {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errWatchTime):
			return &unreachableError{fmt.Errorf("no response head within %v", w.duration)}
		case cause != nil:
			return cause
		}
		return plain(err)
	}
	defer stream.Close()
	unblock := context.AfterFunc(ctx, func() { stream.SetReadDeadline(time.Unix(1, 0)) })
	defer unblock()

	p := &eventPrinter{w: a.stdout, color: out.colored(a.stdout), json: w.format == "ndjson"}
	if w.format == "text" {
		answer := secretsOf(cmd).Conceal(fmt.Sprintf("%d %s, %s", stream.Head.Status, stream.Head.Reason, stream.Head.Header.Get("Content-Type")))
		fmt.Fprintf(a.stderr, "%s HTTP/%s %s (%s)\n", result.Escape(maskURL(stream.URL.String())), stream.Conn.Proto(), result.Escape(answer), human(stream.Timing.Head))
	}
	if problem := notAStream(stream.Head); problem != "" {
		return &outcome{exitFailed, problem}
	}
	sum, err := w.follow(ctx, stream, p)
	fmt.Fprintln(a.stderr, sum)
	return err
}

var errWatchTime = errors.New("the time to watch is over")

// notAStream says why a response is no event stream, or nothing.
func notAStream(h *wire.Head) string {
	mediaType, _, _ := strings.Cut(h.Header.Get("Content-Type"), ";")
	switch {
	case h.Status == 204:
		return "the server answered 204: it has no more events and tells clients not to reconnect"
	case h.Status != 200:
		return fmt.Sprintf("the server answered %d: only 200 opens a stream", h.Status)
	case !strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream"):
		return fmt.Sprintf("the server answered with Content-Type %q: a stream is text/event-stream", h.Header.Get("Content-Type"))
	}
	return ""
}

// follow prints events until the stream, the limit or the user ends it, and returns the sum in words.
func (w *watchFlags) follow(ctx context.Context, stream *wire.Stream, p *eventPrinter) (string, error) {
	var (
		ev      sse.Event
		events  int
		bytes   int64
		longest time.Duration
		last    = stream.Timing.Start.Add(stream.Timing.Head)
	)
	sum := func(why string) string {
		total := time.Since(stream.Timing.Start)
		return fmt.Sprintf("%s after %s: %d events, %d bytes of data, longest silence %s", why, human(total), events, bytes, human(max(longest, time.Since(last))))
	}
	for {
		at, err := stream.Next(&ev)
		if err != nil {
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, errWatchTime):
				return sum("time is over"), nil
			case cause != nil:
				return sum("interrupted"), cause
			case errors.Is(err, io.EOF):
				why := "the server ended the stream"
				if _, pending := stream.Decoder.Pending(); pending {
					why += " inside an event, which clients discard"
				}
				return sum(why), nil
			}
			return sum("the stream broke"), &outcome{exitFailed, plain(err).Error()}
		}
		events++
		bytes += int64(len(ev.Data))
		longest = max(longest, at.Sub(last))
		last = at
		if err := p.print(at.Sub(stream.Timing.Start), &ev); err != nil {
			if errors.Is(err, os.ErrClosed) || isBrokenPipe(err) {
				return sum("the reader went away"), nil
			}
			return sum("stdout failed"), err
		}
		if events == w.count {
			return sum("as many events as asked for"), nil
		}
	}
}
