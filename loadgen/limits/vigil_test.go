package limits_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/loadgen/limits"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// mortal is a server whose streams end, in a way.
type mortal struct {
	idle     time.Duration // silence after which; 0: never
	sweep    time.Duration // it looks only so often
	comments bool          // they do not count against it
	drops    bool          // it is not said
	life     time.Duration // age at which; 0: never
	jitter   time.Duration // up to so much later
	restart  time.Duration // all of them, once, so long after the first was opened
	unlucky  int           // this one at an age of 33 s
	cut      bool          // without the end of the response
	server   string        // as the head names it
	ray      string        // and the CF-Ray that it carries
	beat     time.Duration // comments
	clock    bool          // on all streams at once
	tick     time.Duration // events
	once     time.Duration // a comment at that age
	pieces   bool          // comments come in two
	loses    time.Duration // an event after such a silence
	resets   bool          // a forgotten stream is reset when there is something for it
	held     bool          // heads come when something is published
	deaf     bool          // what is published comes nowhere
	places   int           // streams at once; 0: any
	workers  int           // requests at once; the others wait
	leave    time.Duration // when the user has seen enough
}

// mortals is such a server at work.
type mortals struct {
	mortal
	began        time.Time
	opened, open atomic.Int64
}

func (m *mortals) stream(f *feed) {
	n := m.opened.Add(1)
	after := func(d time.Duration) <-chan time.Time {
		if d <= 0 {
			return nil
		}
		return time.After(d)
	}
	life := m.life
	if life > 0 {
		life += m.jitter * time.Duration(n*5%12) / 12
	}
	var (
		end     = after(life)
		restart = after(m.restart - time.Since(m.began))
		last    = time.Now()
		beats   = after(max(m.beat, m.once))
		ticks   = after(m.tick)
		dead    bool
	)
	if m.clock {
		beats = after(m.beat - time.Since(m.began)%m.beat)
	}
	if int(n) == m.unlucky {
		end = after(33 * time.Second)
	}
	for {
		idle := after(m.idle - time.Since(last))
		if m.sweep > 0 {
			idle = after(m.sweep - time.Since(m.began)%m.sweep)
		}
		if dead {
			idle, end, beats, ticks = nil, nil, nil, nil
		}
		select {
		case <-f.gone:
			return
		case data := <-f.events:
			if dead && m.resets {
				panic(http.ErrAbortHandler)
			}
			if m.loses > 0 && time.Since(last) > m.loses {
				last = time.Now()
				continue
			}
			if !dead && !m.deaf {
				f.event(data)
				last = time.Now()
			}
			continue
		case <-beats:
			f.comment(m.pieces)
			if beats = after(m.beat); m.clock {
				beats = after(m.beat - time.Since(m.began)%m.beat)
			}
			if !m.comments {
				last = time.Now()
			}
			continue
		case <-ticks:
			f.event("tick")
			ticks, last = after(m.tick), time.Now()
			continue
		case <-idle:
			if m.sweep > 0 && time.Since(last) < m.idle {
				continue
			}
			if m.drops {
				dead = true
				continue
			}
		case <-end:
		case <-restart:
		}
		if m.cut {
			panic(http.ErrAbortHandler)
		}
		return
	}
}

func (f *feed) comment(pieces bool) {
	text := ": beat\n\n"
	if pieces {
		io.WriteString(f.w, text)
		http.NewResponseController(f.w).Flush()
		time.Sleep(time.Millisecond)
	}
	io.WriteString(f.w, text)
	http.NewResponseController(f.w).Flush()
}

// held is p with heads that come when something is published.
func (p *planted) held() http.Handler {
	var mu sync.Mutex
	published := make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		next := published
		if r.Method == http.MethodPost {
			close(published)
			published = make(chan struct{})
		}
		mu.Unlock()
		select {
		case <-next:
			p.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// resetting is a connection whose end looks like a reset.
type resetting struct{ net.Conn }

func (c resetting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = syscall.ECONNRESET
	}
	return n, err
}

// said is what is wanted of one limit: found around a value, or none up to at least one, or undecided by a flag.
type said struct {
	verdict string
	about   time.Duration
	wide    time.Duration // the interval at most; 0: a twentieth
	says    string        // in the evidence
	owner   string
	by      string
}

func (s said) of(l *result.Limit) bool {
	at := s.about.Seconds()
	switch {
	case l.Verdict != s.verdict || l.DecidedBy != s.by || !strings.Contains(l.Evidence, s.says) || l.Owner != s.owner:
		return false
	case s.verdict == result.LimitFound:
		return *l.Low <= at && at <= *l.High && *l.High-*l.Low <= max(0.05*at+0.3, s.wide.Seconds())
	case s.verdict == result.LimitNone:
		return *l.Low >= at
	}
	return true
}

func is(at time.Duration, owner, says string) said {
	return said{verdict: result.LimitFound, about: at, owner: owner, says: says}
}

func upTo(at time.Duration, says string) said {
	return said{verdict: result.LimitNone, about: at, says: says}
}

func open(by, says string) said { return said{verdict: result.LimitUndecided, by: by, says: says} }

// ages runs probes against such a server for two and a half minutes, as a search of five has them.
func ages(t *testing.T, serve mortal, proto wire.Proto, hook bool, probes ...string) (found []result.Limit) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &mortals{mortal: serve, began: time.Now()}
		p := &planted{turn: make(chan struct{}, 1), feeds: map[*feed]bool{}, stream: m.stream}
		p.head = func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range map[string]string{"Server": m.server, "CF-Ray": m.ray} {
				if value != "" {
					w.Header().Set(name, value)
				}
			}
		}
		handler := http.Handler(p)
		if m.places > 0 {
			handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					defer m.open.Add(-1)
					if m.open.Add(1) > int64(m.places) {
						http.Error(w, "full", http.StatusServiceUnavailable)
						return
					}
				}
				p.ServeHTTP(w, r)
			})
		}
		if m.workers > 0 {
			free := make(chan struct{}, m.workers)
			handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case free <- struct{}{}:
					defer func() { <-free }()
					p.ServeHTTP(w, r)
				case <-r.Context().Done():
				}
			})
		}
		if m.held {
			handler = p.held()
		}
		l := make(memory)
		dial := l.dial
		if m.resets {
			dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := l.dial(ctx, network, addr)
				return resetting{c}, err
			}
		}
		server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		over := make(chan error)
		go func() { over <- server.Serve(l) }()
		client := &http.Transport{DialContext: l.dial}
		u, err := url.Parse("http://limits.test/events")
		if err != nil {
			t.Fatal(err)
		}
		c := limits.Config{Probes: probes, Budget: 150 * time.Second, Streams: 100}
		c.Plan = plan.Plan{Targets: []plan.Target{{URL: u.String(), Request: &wire.Request{URL: u}, Dialer: &wire.Dialer{NetDial: dial, Proto: proto, HeadTimeout: 10 * time.Second}}}}
		if hook {
			if c.Publisher, err = publish.Compile(publish.Hook{HTTP: "POST http://limits.test/publish", Transport: client}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := limits.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if serve.leave > 0 {
			defer time.AfterFunc(serve.leave, cancel).Stop()
		}
		out, err := s.Run(ctx, nil)
		if (err != nil) != (serve.leave > 0) {
			t.Fatal(err)
		}
		if took := time.Since(began); took > c.Budget {
			t.Errorf("it took %v of %v", took, c.Budget)
		}
		found = out.Limits
		client.CloseIdleConnections()
		server.Close()
		if err := <-over; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return found
}

func TestAges(t *testing.T) {
	const (
		s      = time.Second
		target = result.OwnerTarget
		path   = result.OwnerPath
	)
	quiet := said{verdict: result.LimitNone}
	inapplicable := said{verdict: result.LimitNotApplicable}
	for name, tt := range map[string]struct {
		serve mortal
		mute  bool // nothing can be published
		want  map[string]said
	}{
		"none":                    {mortal{}, false, map[string]said{"idle/timeout": upTo(120*s, "something came again"), "idle/silent-drop": upTo(120*s, "an event came on all"), "idle/heartbeat": upTo(120*s, "nothing came by itself"), "lifetime/max": upTo(140*s, "open to the end"), "lifetime/jitter": inapplicable}},
		"none, no hook":           {mortal{}, true, map[string]said{"idle/timeout": upTo(140*s, "open after a silence"), "idle/silent-drop": open("--publish", ""), "lifetime/max": upTo(140*s, "")}},
		"deaf":                    {mortal{deaf: true}, false, map[string]said{"idle/timeout": upTo(120*s, "open after a silence"), "idle/silent-drop": open("", "what was published came on no stream within 5s"), "lifetime/max": upTo(120*s, "")}},
		"idle 500 ms":             {mortal{idle: s / 2}, false, map[string]said{"idle/timeout": is(s/2, target, "the last chunk"), "lifetime/max": upTo(15*s, "for their silence")}},
		"idle 5 s":                {mortal{idle: 5 * s}, false, map[string]said{"idle/timeout": is(5*s, target, "those that were kept busy lived on"), "idle/silent-drop": upTo(4*s, "the end of streams came through"), "lifetime/max": upTo(100*s, "for their silence"), "lifetime/jitter": inapplicable}},
		"idle 60 s":               {mortal{idle: 60 * s}, false, map[string]said{"idle/timeout": is(60*s, target, ""), "idle/silent-drop": upTo(59500*time.Millisecond, "the end of streams came through"), "lifetime/max": upTo(75*s, "")}},
		"idle 60 s, cut":          {mortal{idle: 60 * s, cut: true}, false, map[string]said{"idle/timeout": is(60*s, "", "FIN before the last chunk"), "lifetime/max": upTo(75*s, "")}},
		"idle 8 s, cut":           {mortal{idle: 8 * s, cut: true, server: "node"}, false, map[string]said{"idle/timeout": is(8*s, "", "as proxies do and servers that close the socket")}},
		"idle 60 s, cut by nginx": {mortal{idle: 60 * s, cut: true, server: "nginx/1.24.0"}, false, map[string]said{"idle/timeout": is(60*s, path, "hear nothing from behind, and the Server is nginx")}},
		"idle 60 s, cut by a CDN": {mortal{idle: 60 * s, cut: true, ray: "8f2b-FRA"}, false, map[string]said{"idle/timeout": is(60*s, path, "the answer has the field CF-Ray")}},
		"idle 60 s behind Caddy":  {mortal{idle: 60 * s, server: "Caddy"}, false, map[string]said{"idle/timeout": is(60*s, target, "the last chunk")}},
		"idle 100 s":              {mortal{idle: 100 * s}, false, map[string]said{"idle/timeout": is(100*s, target, ""), "lifetime/max": upTo(110*s, "")}},
		"idle 60 s, swept":        {mortal{idle: 60 * s, sweep: 2 * s}, false, map[string]said{"idle/timeout": is(61*s, target, ""), "lifetime/max": upTo(75*s, "")}},
		"idle, no hook":           {mortal{idle: 60 * s}, true, map[string]said{"idle/timeout": open("--publish", "a limit on silence or on age"), "lifetime/max": open("--publish", "60 s old and after 60 s of silence")}},
		"idle, few places":        {mortal{idle: 60 * s, places: 6}, false, map[string]said{"idle/timeout": is(60*s, target, ""), "lifetime/max": upTo(75*s, "")}},
		"idle, 8 places":          {mortal{idle: 100 * s, places: 8}, false, map[string]said{"idle/timeout": is(100*s, target, ""), "lifetime/max": upTo(75*s, "")}},
		"8 workers":               {mortal{idle: 60 * s, workers: 8}, false, map[string]said{"idle/timeout": is(60*s, target, ""), "lifetime/max": upTo(75*s, "")}},
		"beats":                   {mortal{idle: 60 * s, beat: 15 * s}, false, map[string]said{"idle/timeout": upTo(15*s, "what the target sends by itself"), "idle/silent-drop": quiet, "idle/heartbeat": is(15*s, target, "comments come by themselves every 15 s"), "lifetime/max": upTo(140*s, "")}},
		"beats, no hook":          {mortal{beat: 15 * s}, true, map[string]said{"idle/timeout": upTo(15*s, "what the target sends by itself"), "idle/silent-drop": upTo(15*s, "on each stream"), "idle/heartbeat": is(15*s, target, ""), "lifetime/max": upTo(140*s, "")}},
		"quick beats, one worker": {mortal{beat: 2 * s, workers: 1, leave: 15 * s}, true, map[string]said{"idle/heartbeat": is(2*s, target, "comments come by themselves every 2 s")}},
		"one beat":                {mortal{beat: 100 * s}, false, map[string]said{"idle/heartbeat": open("--budget", "one on a stream, and nothing in the")}},
		"one beat and the end":    {mortal{life: 20 * s, beat: 12 * s}, true, map[string]said{"idle/heartbeat": open("", "one on a stream: the time between two was not seen")}},
		"beats, in pieces":        {mortal{beat: 15 * s, pieces: true}, true, map[string]said{"idle/heartbeat": is(15001*time.Millisecond, target, "")}},
		"held":                    {mortal{idle: 60 * s, held: true}, false, map[string]said{"idle/timeout": is(60*s, target, ""), "lifetime/max": upTo(75*s, "")}},
		"lost once":               {mortal{loses: 100 * s}, false, map[string]said{"idle/silent-drop": upTo(120*s, "an event came on all")}},
		"dead, then reset":        {mortal{idle: 30 * s, drops: true, resets: true}, false, map[string]said{"idle/timeout": upTo(28*s, ""), "idle/silent-drop": {verdict: result.LimitFound, about: 30 * s, wide: 2 * s, says: "none of these had been closed"}, "lifetime/max": upTo(140*s, "")}},
		"jitter and ticks":        {mortal{life: 60 * s, jitter: 12 * s, tick: 5 * s}, true, map[string]said{"idle/timeout": upTo(5*s, "for their age"), "lifetime/max": {verdict: result.LimitFound, about: 65 * s, wide: 18 * s, owner: target}}},
		"a greeting":              {mortal{once: s / 2}, false, map[string]said{"idle/heartbeat": upTo(120*s, "nothing came by itself")}},
		"a late greeting":         {mortal{once: 3 * s}, false, map[string]said{"idle/timeout": upTo(120*s, "something came again"), "idle/heartbeat": open("--budget", "nothing in the")}},
		"beats in vain":           {mortal{idle: 40 * s, beat: 15 * s, comments: true}, false, map[string]said{"idle/timeout": is(40*s, target, "comments that came meanwhile did not help"), "lifetime/max": upTo(55*s, "for their silence")}},
		"in vain, no hook":        {mortal{idle: 40 * s, beat: 15 * s, comments: true}, true, map[string]said{"idle/timeout": open("--publish", "comments came, which need not count"), "lifetime/max": open("--publish", "")}},
		"dead":                    {mortal{idle: 30 * s, drops: true}, false, map[string]said{"idle/timeout": upTo(28*s, ""), "idle/silent-drop": {verdict: result.LimitFound, about: 30 * s, wide: 2 * s, says: "none of these had been closed"}, "lifetime/max": upTo(140*s, "")}},
		"dead at once":            {mortal{idle: 3 * s, drops: true}, false, map[string]said{"idle/timeout": upTo(s, ""), "idle/silent-drop": {verdict: result.LimitFound, about: 3 * s, wide: 3 * s}}},
		"life 5 s":                {mortal{life: 5 * s}, false, map[string]said{"idle/timeout": upTo(4*s, "for their age"), "idle/silent-drop": open("", "no stream was left"), "lifetime/max": is(5*s, target, "the last chunk"), "lifetime/jitter": upTo(0, "come back together")}},
		"life 60 s":               {mortal{life: 60 * s}, false, map[string]said{"idle/timeout": upTo(55*s, "for their age"), "lifetime/max": is(60*s, target, ""), "lifetime/jitter": upTo(0, "come back together")}},
		"life, jitter":            {mortal{life: 60 * s, jitter: 12 * s}, false, map[string]said{"idle/timeout": upTo(55*s, "for their age"), "lifetime/max": {verdict: result.LimitFound, about: 65 * s, wide: 18 * s, owner: target}, "lifetime/jitter": is(11*s, target, "half by 6")}},
		"life 100 s, cut":         {mortal{life: 100 * s, cut: true}, false, map[string]said{"idle/timeout": upTo(90*s, "for their age"), "lifetime/max": is(100*s, "", "as by a proxy, or by a server with a time limit"), "lifetime/jitter": upTo(0, "")}},
		"life, no hook":           {mortal{life: 60 * s}, true, map[string]said{"idle/timeout": open("--publish", "a limit on silence or on age"), "lifetime/max": open("--publish", ""), "lifetime/jitter": open("--publish", "")}},
		"life, beats, no hook":    {mortal{life: 20 * s, beat: 13 * s, clock: true}, true, map[string]said{"idle/timeout": upTo(10*s, "for their age"), "lifetime/max": is(20*s, target, "only publishing shows whether events would have kept them"), "lifetime/jitter": upTo(0, "")}},
		"life, ticks":             {mortal{life: 60 * s, tick: s}, true, map[string]said{"idle/timeout": upTo(s, "for their age"), "idle/heartbeat": is(s, target, "events come by themselves every 1 s"), "lifetime/max": is(60*s, target, "")}},
		"life, rare ticks":        {mortal{life: 61 * s, tick: 15 * s}, true, map[string]said{"idle/timeout": upTo(15*s, "for their age"), "lifetime/max": is(61*s, target, "")}},
		"restart":                 {mortal{restart: 70 * s}, false, map[string]said{"idle/timeout": upTo(40*s, "at the same moment"), "lifetime/max": upTo(60*s, "at the same moment"), "lifetime/jitter": inapplicable}},
		"interrupted":             {mortal{idle: 30 * s, leave: 60 * s}, false, map[string]said{"idle/timeout": is(30*s, target, ""), "lifetime/max": upTo(40*s, "")}},
		"interrupted soon":        {mortal{idle: 30 * s, leave: 20 * s}, false, map[string]said{"idle/timeout": upTo(s/2, ""), "idle/silent-drop": open("", ""), "lifetime/max": upTo(19*s, "")}},
		"one bad":                 {mortal{unlucky: 5}, false, map[string]said{"idle/timeout": upTo(120*s, "others at the same silence were not"), "lifetime/max": upTo(140*s, "others as old were not")}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, proto := range []wire.Proto{wire.HTTP11, wire.H2C}[:tt.serve.protos()] {
				for _, l := range ages(t, tt.serve, proto, !tt.mute, "idle", "lifetime") {
					want, listed := tt.want[l.ID]
					if proto == wire.H2C { // ends look otherwise there, and a PING tells whose connection it is
						want.says = ""
						if want.verdict == result.LimitFound && want.owner == "" && tt.serve.drops {
							want.owner = result.OwnerTarget
						}
					}
					if listed && !want.of(&l) {
						t.Errorf("%v: %s\nwant %+v", proto, show(&l), want)
					}
				}
			}
		})
	}
}

// TestLifetimeAlone keeps streams busy to the end where nobody asks about silence.
func TestLifetimeAlone(t *testing.T) {
	for _, tt := range []struct {
		serve mortal
		want  said
	}{
		{mortal{idle: 5 * time.Second}, upTo(144*time.Second, "open to the end")},
		{mortal{life: 100 * time.Second}, is(100*time.Second, result.OwnerTarget, "")},
		{mortal{life: 100 * time.Second, idle: 5 * time.Second}, is(100*time.Second, result.OwnerTarget, "")},
		{mortal{restart: 5 * time.Second}, upTo(120*time.Second, "at the same moment")},
		{mortal{restart: 50 * time.Second}, upTo(90*time.Second, "at the same moment")},
		{mortal{restart: 100 * time.Second}, upTo(98*time.Second, "at the same moment")},
	} {
		found := ages(t, tt.serve, wire.HTTP11, true, "lifetime")
		if len(found) != 2 || !tt.want.of(&found[0]) {
			t.Errorf("%+v: %s\nwant %+v", tt.serve, show(&found[0]), tt.want)
		}
	}
}

func show(l *result.Limit) string {
	b, _ := json.Marshal(l)
	return string(b)
}

// protos is how many protocols it speaks: over HTTP/2 a stream is reset by a peer that knows it.
func (m mortal) protos() int {
	if m.resets {
		return 1
	}
	return 2
}
