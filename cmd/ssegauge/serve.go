package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ssegauge/reference/server"
	"ssegauge/reference/server/raw"
)

type serveFlags struct {
	config    server.Config
	limits    *pflag.FlagSet // those that the net engine alone has
	listen    string
	engine    string
	tls       bool
	cert, key string
	untilEOF  bool
}

func newServe(a *app) *cobra.Command {
	var s serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the reference server",
		Long: `Runs a server that does the whole protocol right: channels with history, resume by
Last-Event-ID, publishing over HTTP, heartbeats, scripted scenarios, pages for a browser. With --fault it breaks one
rule, by the id of the check that must notice; with --max-streams and the flags below it, it has the limit that they
say. One port speaks HTTP/1.1 and HTTP/2.

With --engine raw it is the sink for load: the same channels and answers on /events, /publish, /tick, /stats,
/metrics and /healthz, in the clear, by an engine that holds a million streams. A reader that is slow holds up
nobody: its stream ends when it is more events behind than the history keeps (and 1024 at least, 4 MiB at most), or
when it takes nothing for 15 s. /stats counts it in streams_cut.

The first line on stdout says where it listens. Ctrl-C ends every stream on an event boundary.`,
		Example: `  ssegauge serve
  ssegauge serve --listen :0 --tls
  ssegauge serve --fault data/multiline
  ssegauge serve --max-streams-per-conn 128 --served-per-conn 16     # 'ssegauge limits' should find both
  ssegauge serve --max-event 65536 --oversized truncate
  curl -N http://localhost:8080/events &
  curl -d '{"data":"hello"}' http://localhost:8080/publish`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), a) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	f.StringVar(&s.engine, "engine", "net", "net (all features) or raw (the fan-out at least cost: no TLS, faults, scenarios, pages or compression)")
	f.BoolVar(&s.tls, "tls", false, "serve HTTPS (HTTP/1.1 and h2 by ALPN)")
	f.StringVar(&s.cert, "cert", "", "PEM `file` of the certificate (default with --tls: a self-signed one, made on start)")
	f.StringVar(&s.key, "key", "", "PEM `file` of the certificate's key")
	f.IntVar(&s.config.History, "history", 1000, "events that each channel keeps for replay (0: none)")
	f.DurationVar(&s.config.Heartbeat, "heartbeat", 15*time.Second, "comment after this much silence (0: none)")
	f.DurationVar(&s.config.Retry, "retry", 2*time.Second, "reconnection time to announce (0: none)")
	f.StringVar(&s.config.PublishToken, "publish-token", "", "bearer token that /publish demands")
	f.StringVar(&s.config.Fault, "fault", "", "break one rule: the `id` of a check ('ssegauge list')")
	f.IntVar(&s.config.MaxStreams, "max-streams", 0, "streams at once, overall; more are answered 503 (0: no limit, as of those below)")
	f.IntVar(&s.config.MaxStreamsPerIP, "max-streams-per-ip", 0, "streams at once from one address; more are answered 503")
	f.IntVar(&s.config.MaxConcurrentStreams, "max-streams-per-conn", server.DefaultMaxConcurrentStreams, "streams at once on one HTTP/2 connection, as SETTINGS tell; more are reset")
	f.DurationVar(&s.config.WriteTimeout, "write-timeout", server.DefaultWriteTimeout, "a client that takes nothing for so long is cut")
	s.limits = s.limitFlags()
	f.AddFlagSet(s.limits)
	f.BoolVar(&s.untilEOF, "until-stdin-ends", false, "for a parent process: stop when stdin ends, not on an interrupt")
	f.MarkHidden("until-stdin-ends")
	return cmd
}

// limitFlags are the flags of [server.Limits].
func (s *serveFlags) limitFlags() *pflag.FlagSet {
	l := &s.config.Limits
	f := pflag.NewFlagSet("limits", pflag.ContinueOnError)
	f.SortFlags = false
	f.IntVar(&l.ServedPerConn, "served-per-conn", 0, "HTTP/2 streams of one connection that are answered at once; more hang without a head until one ends")
	f.DurationVar(&l.SlotDelay, "slot-delay", 0, "time after the end of a stream until its place is free again")
	f.IntVar(&l.MaxRequestsPerConn, "max-requests-per-conn", 0, "requests of one connection; the last is answered with Connection: close, or GOAWAY")
	f.IntVar(&l.MaxResets, "max-resets", 0, "streams of one HTTP/2 connection that its client may reset; with the last the connection is closed")
	f.IntVar(&l.MaxConns, "max-conns", 0, "connections at once; more wait until one ends")
	f.IntVar(&l.Backlog, "backlog", 0, "connections that wait in the kernel (0: the system's)")
	f.IntVar(&l.SendBuffer, "send-buffer", 0, "`bytes` that the kernel buffers for one connection (0: the system's)")
	f.DurationVar(&l.IdleTimeout, "idle-timeout", 0, "a stream to which nothing was written for so long ends")
	f.BoolVar(&l.IdleDrop, "idle-drop", false, "it goes dead instead: nothing is sent any more, and nothing closed, as behind a NAT")
	f.BoolVar(&l.IdleIgnoresComments, "idle-ignores-comments", false, "heartbeats do not keep it alive")
	f.DurationVar(&l.Lifetime, "lifetime", 0, "streams end at this age")
	f.IntVar(&l.LifetimeJitter, "lifetime-jitter", 0, "and each at random up to so many `percent` later")
	f.IntVar(&l.Buffer, "buffer", 0, "`bytes` of a stream that gather before any of them leave")
	f.IntVar(&l.MaxEvent, "max-event", 0, "`bytes` of data that a published event may have")
	f.StringVar(&l.Oversized, "oversized", "", "what more data `meet`: reject (413, the default), drop, truncate, split (into several events) or close (the streams)")
	return f
}

func (s *serveFlags) run(ctx context.Context, a *app) error {
	if err := s.checkEngine(); err != nil {
		return err
	}
	s.config.History, s.config.Heartbeat, s.config.Retry = orNone(s.config.History), orNone(s.config.Heartbeat), orNone(s.config.Retry)
	srv, err := server.New(s.config)
	if err != nil {
		return usagef("%v", err)
	}
	if s.untilEOF {
		// An interrupt at the terminal reaches the parent too, which still needs this server for its report.
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			io.Copy(io.Discard, a.stdin)
			cancel()
		}()
	}
	scheme := "http"
	var config *tls.Config
	if s.tls || s.cert != "" {
		scheme = "https"
		if config, err = s.certificate(); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return usagef("--listen %s: %v", s.listen, plain(err))
	}
	if _, err := fmt.Fprintf(a.stdout, "listening on %s://%s\n", scheme, l.Addr()); err != nil {
		l.Close()
		return err
	}
	if s.engine == "raw" {
		fmt.Fprintln(a.stderr, "streams at /events and /tick, gauges at /stats; Ctrl-C stops")
		err = raw.Serve(ctx, srv, l)
	} else {
		fmt.Fprintf(a.stderr, "open %s://%s/ in a browser; Ctrl-C stops\n", scheme, l.Addr())
		err = srv.Serve(ctx, l, config)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // a server that was asked to stop and did has done well
}

// checkEngine refuses what the engine that was asked for does not have.
func (s *serveFlags) checkEngine() (err error) {
	switch {
	case s.engine == "net":
	case s.engine != "raw":
		return usagef("--engine %s: net or raw", s.engine)
	case s.tls || s.cert != "" || s.key != "":
		return usagef("--engine raw serves in the clear: leave out --tls, --cert and --key, or use --engine net")
	case s.config.Fault != "":
		return usagef("--engine raw breaks no rules: use --engine net with --fault %s", s.config.Fault)
	case s.config.MaxConcurrentStreams > raw.MaxConcurrentStreams:
		return usagef("--max-streams-per-conn %d: at most %d with --engine raw", s.config.MaxConcurrentStreams, raw.MaxConcurrentStreams)
	}
	if s.engine == "raw" {
		s.limits.VisitAll(func(f *pflag.Flag) {
			if err == nil && f.Value.String() != f.DefValue {
				err = usagef("--engine raw has no --%s: use --engine net", f.Name)
			}
		})
	}
	return err
}

func (s *serveFlags) certificate() (*tls.Config, error) {
	if (s.cert == "") != (s.key == "") {
		return nil, usagef("--cert and --key go together: give both")
	}
	var pair tls.Certificate
	var err error
	if s.cert != "" {
		if pair, err = tls.LoadX509KeyPair(s.cert, s.key); err != nil {
			return nil, usagef("--cert %s, --key %s: %v", s.cert, s.key, plain(err))
		}
	} else if pair, err = server.SelfSigned("localhost", "127.0.0.1", "::1"); err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// orNone turns the user's 0, none, into the server's: its own 0 is the default.
func orNone[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
