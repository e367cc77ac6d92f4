package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// eventPrinter prints events for people (a head line, then the data, indented) or as JSON lines.
type eventPrinter struct {
	w     io.Writer
	color bool
	json  bool
	buf   bytes.Buffer
}

// print writes one event that arrived at, counted from the request. Everything in it came from the target and is escaped.
func (p *eventPrinter) print(at time.Duration, ev *sse.Event) error {
	p.buf.Reset()
	if p.json {
		if err := result.EncodeLine(&p.buf, struct {
			TimeMS float64 `json:"time_ms"`
			Type   string  `json:"type"`
			ID     string  `json:"id"`
			Data   string  `json:"data"`
		}{float64(at.Microseconds()) / 1000, ev.Name(), sse.Text(ev.ID), sse.Text(ev.Data)}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(&p.buf, "%s  %s", p.paint("2", fmt.Sprintf("%10.3f s", at.Seconds())), p.paint("1;36", result.Escape(ev.Name())))
		if len(ev.ID) > 0 {
			fmt.Fprintf(&p.buf, "  %s%s", p.paint("2", "id "), result.Escape(sse.Text(ev.ID)))
		}
		p.buf.WriteByte('\n')
		for line := range strings.SplitSeq(sse.Text(ev.Data), "\n") {
			fmt.Fprintf(&p.buf, "%14s%s\n", "", result.Escape(line))
		}
	}
	_, err := p.w.Write(p.buf.Bytes())
	return err
}

func (p *eventPrinter) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// human writes a duration for people.
func human(d time.Duration) string { return result.Micros(float64(d) / float64(time.Microsecond)) }
