package limits

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// What is published to find out how much gathers before it leaves.
const (
	leastHeld = 256     // bytes
	mostHeld  = 1 << 20 // bytes
	mostLate  = 16      // events
	mostAlone = 8 * time.Second
)

// bufferingRequests counts, once without and once with compression, a stream and a publish of every size, the events that are published one by one, and those of 64 KiB that larger sizes are made of.
func bufferingRequests(s *Session, _ time.Duration) int {
	if s.config.Publisher == nil {
		return 0
	}
	return 300
}

// buffering finds out whether something between the one who publishes and the one who reads waits until it has more: so many bytes, so many events, or so much time.
func buffering(ctx context.Context, s *Session) []result.Limit {
	const sizeID, sizeTitle, unit = "buffering/size", "bytes held back", "bytes"
	const gzipID, gzipTitle = "buffering/gzip", "bytes held back, compressed"
	if l, ok := s.publishes(sizeID, sizeTitle, unit); !ok {
		z := l
		z.ID, z.Title = gzipID, gzipTitle
		return []result.Limit{l, z}
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	plain := s.gather(sizeID, sizeTitle, s.open)
	defer plain.close()
	out := plain.find(ctx)
	if out[0].Verdict == result.LimitUndecided {
		return append(out, undecided(gzipID, gzipTitle, unit, out[0].DecidedBy, "not tried, for the same reason"))
	}
	if plain.head {
		return append(out, undecided(gzipID, gzipTitle, unit, "", "not tried: the head of the response is held back as well"))
	}
	l, silence, err := s.answerPacked(ctx)
	switch {
	case silence > 0:
		packed := s.gather(gzipID, gzipTitle, s.openPackedQuietly)
		packed.packed, packed.head = true, true
		defer packed.close()
		return append(out, packed.silent(ctx, plain.seen, silence))
	case ctx.Err() != nil:
		return append(out, undecided(gzipID, gzipTitle, unit, "", "the time for this probe is over"))
	case err != nil && silent(err):
		return append(out, undecided(gzipID, gzipTitle, unit, "", "streams with compression and without could not be compared: one was not answered in time"))
	case err != nil:
		return append(out, undecided(gzipID, gzipTitle, unit, "", "no stream: %s", printOf(err).Says))
	}
	coding := l.Head.Header.Get("Content-Encoding")
	l.Close()
	if coding == "" || strings.EqualFold(coding, "identity") {
		return append(out, inapplicable(gzipID, gzipTitle, unit, "the target does not compress streams for Accept-Encoding: gzip"))
	}
	packed := s.gather(gzipID, gzipTitle, s.openPacked)
	packed.packed = true
	defer packed.close()
	if len(out) == 1 && out[0].Verdict == result.LimitFound && out[0].Title != tailTitle {
		packed.alone = 0 // what waits for more bytes without compression does so with it
	}
	return append(out, packed.find(ctx)...)
}

// answerPacked opens a stream that may be compressed. Where it is not answered for so long, and one that may not be is, each of them twice, silence is how long that was.
func (s *Session) answerPacked(ctx context.Context) (l *Listener, silence time.Duration, err error) {
	for range 2 {
		began := time.Now()
		plain, err := s.open(ctx)
		if err != nil {
			return nil, 0, err
		}
		patience := max(headPatience, 4*max(time.Since(began), s.target.took))
		plain.Close()
		opening, cancel := context.WithTimeout(ctx, patience)
		began = time.Now()
		l, err = s.openPacked(opening)
		cancel()
		if err == nil || !silent(err) || ctx.Err() != nil {
			return l, 0, err
		}
		silence = time.Since(began)
	}
	return nil, silence, nil
}

// openPacked opens a stream that may be compressed, and reads what is in it.
func (s *Session) openPacked(ctx context.Context) (*Listener, error) {
	defer s.knock(ctx)()
	return s.openPackedQuietly(ctx)
}

// openPackedQuietly is openPacked without a word published.
func (s *Session) openPackedQuietly(ctx context.Context) (*Listener, error) {
	d := *s.target.dialer
	d.Proto, d.Decode = s.target.proto, true
	conn, err := d.Dial(ctx, s.target.request.URL)
	if err != nil {
		return nil, err
	}
	r := *s.target.request
	r.Header = slices.DeleteFunc(slices.Clone(r.Header), func(f wire.Field) bool { return strings.EqualFold(f.Name, "Accept-Encoding") })
	r.Header = append(r.Header, wire.Field{Name: "Accept-Encoding", Value: "gzip"})
	l, err := s.ask(ctx, conn, &r, maxEvent, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	l.owns = true
	return l, nil
}

// gatherer is a search for what gathers before it leaves, on streams that open opens.
type gatherer struct {
	*courier
	id, title string
	prompt    time.Duration // an event that comes within it was not held back
	alone     time.Duration // how long one is waited for that may come by itself later
	sync      bool          // streams are flushed by time: each try begins right after
	piece     int           // bytes that one event may have
	packed    bool          // streams are compressed
	head      bool          // the head is held back as well: a stream is open when that has come
	nothing   int           // bytes after which nothing came

	seen *wire.Head     // of the last stream that was opened; nil: there was none
	base int64          // content that had come before the last try
	last <-chan Arrival // the last event of it; nil: not awaited
}

func (s *Session) gather(id, title string, open func(context.Context) (*Listener, error)) *gatherer {
	g := &gatherer{courier: s.courier(), id: id, title: title, prompt: 500 * time.Millisecond, alone: mostAlone, piece: 64 << 10}
	g.courier.open = open
	return g
}

// find publishes small events one by one first: where all come at once nothing is held back.
func (g *gatherer) find(ctx context.Context) []result.Limit {
	one := func(l result.Limit) []result.Limit { return []result.Limit{l} }
	opening, cancel := ctx, context.CancelFunc(func() {})
	if g.target.held {
		opening, cancel = context.WithTimeout(ctx, 2*headPatience)
	}
	o := g.fresh(opening)
	cancel()
	switch {
	case o.fate == intact:
	case g.target.held:
		g.head = true
		g.open = func(ctx context.Context) (*Listener, error) { return g.openFrom(ctx, netip.Addr{}, maxEvent) } // without a word published
		return one(g.size(ctx))
	default:
		return one(g.undecided("%s", o.says))
	}
	var took []time.Duration
	for len(took) < 4 {
		a, sent, o := g.tiny(ctx)
		if o.fate != intact {
			return one(g.undecided("%s", o.says))
		}
		at, ok := g.comes(ctx, a, max(g.alone, g.prompt))
		if !ok {
			break
		}
		took = append(took, at.At.Sub(sent))
	}
	switch {
	case ctx.Err() != nil:
		return one(g.undecided("the time for this probe is over"))
	case len(took) == 4 && slices.Max(took[1:]) <= g.prompt:
		says := fmt.Sprintf("small events come by themselves, the slowest within %s", shown(slices.Max(took[1:])))
		if g.target.held {
			says += "; the head of the response comes with the first of them"
		}
		l, ok, more := g.tail(ctx)
		if ok {
			return one(l)
		}
		return one(none(g.id, g.title, 0, "bytes", "%s%s", says, more))
	case len(took) == 4:
		return g.timed(ctx, took[1:])
	}
	if l, ok := g.late(ctx); ok {
		return l
	}
	return one(g.size(ctx))
}

// kin is the id of another limit of the same kind.
func (g *gatherer) kin(what string) string {
	if id, ok := strings.CutSuffix(g.id, "/size"); ok {
		return id + "/" + what
	}
	return g.id + "-" + what
}

func (g *gatherer) undecided(format string, args ...any) result.Limit {
	return undecided(g.id, g.title, "bytes", "", format, args...)
}

// owner is whose doing it is that something is held back, and by what it shows.
func (g *gatherer) owner() (owner, says string) {
	if by := proxyOf(g.seen); by != "" {
		return result.OwnerPath, "; " + by
	}
	return result.OwnerTarget, ""
}

// fresh opens another stream.
func (g *gatherer) fresh(ctx context.Context) outcome {
	g.close()
	var err error
	if g.stream, err = g.open(ctx); err != nil {
		g.stream = nil
		return outcome{fate: unknown, says: "no stream: " + printOf(err).Says}
	}
	g.seen = g.stream.Head
	pause(ctx, settle)
	return outcome{}
}

// tiny publishes a small event and says by what it is known when it comes, and since when it may.
func (g *gatherer) tiny(ctx context.Context) (<-chan Arrival, time.Time, outcome) {
	p := payloadOf(tinyEvent)
	ch := g.stream.Await(p.Marker)
	sent := time.Now()
	o, _ := g.told(ctx, p.Message)
	if !g.sync {
		g.prompt = max(g.prompt, min(4*time.Since(sent), minPatience))
	}
	return ch, sent, o
}

// comes waits for an arrival.
func (g *gatherer) comes(ctx context.Context, ch <-chan Arrival, within time.Duration) (Arrival, bool) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	a, err := g.stream.await(ctx, ch)
	return a, err == nil
}

// timed is what is found of a target whose events come by themselves, but late: it sends what has gathered every so often, or is slow in all it does.
func (g *gatherer) timed(ctx context.Context, took []time.Duration) []result.Limit {
	least, most := slices.Min(took), slices.Max(took)
	one, sent, o := g.tiny(ctx)
	pause(ctx, least/3)
	two, _, o2 := g.tiny(ctx)
	if o.fate != intact || o2.fate != intact {
		return []result.Limit{g.undecided("%s", o.says+o2.says)}
	}
	a, ok := g.comes(ctx, one, 2*mostAlone)
	b, ok2 := g.comes(ctx, two, 2*mostAlone)
	if !ok || !ok2 {
		return []result.Limit{g.undecided("small events come by themselves after %s to %s, and then one did not come", least.Round(time.Millisecond), most.Round(time.Millisecond))}
	}
	if apart := b.At.Sub(a.At); apart > least/6 {
		return []result.Limit{none(g.id, g.title, 0, "bytes", "small events come by themselves, %s after they were published, and as far apart as they were published: they are slow, not held back", a.At.Sub(sent).Round(time.Millisecond))}
	}
	owner, by := g.owner()
	delay := found(g.kin("delay"), "time that events are held back", least.Seconds(), most.Seconds(), "s", owner, "small events come by themselves after so long, and all at once%s", by)
	g.sync, g.prompt = true, min(g.prompt, least/2)
	l := g.size(ctx)
	if l.Verdict != result.LimitFound {
		l = none(g.id, g.title, 0, "bytes", "events are held back for a time, whatever they have gathered to")
	}
	return []result.Limit{l, delay}
}

// late looks for a target that holds back so many events, and not so many bytes: most often each until the next.
func (g *gatherer) late(ctx context.Context) ([]result.Limit, bool) {
	if o := g.fresh(ctx); o.fate != intact {
		return nil, false
	}
	before := g.stream.Facts().Bytes
	first, _, o := g.tiny(ctx)
	if _, ok := g.comes(ctx, first, g.prompt); ok || o.fate != intact {
		return nil, false
	}
	bytes := g.stream.Facts().Bytes - before
	low, high := 0, 0 // events after which the first has not come, and has
	for n := 2; n <= mostLate; n++ {
		if _, _, o = g.tiny(ctx); o.fate != intact {
			return nil, false
		}
		if 3 < n && n < mostLate {
			continue // a few one by one, the others at once
		}
		if _, ok := g.comes(ctx, first, g.prompt); ok {
			high = n
			break
		}
		low = n
	}
	if high == 0 {
		return nil, false
	}
	low = max(low, 1)
	// As many bytes and more in fewer events: where that makes no difference it is events that count.
	if o = g.fresh(ctx); o.fate != intact {
		return nil, false
	}
	p := payloadOf(2 << 10)
	ch := g.stream.Await(p.Marker)
	if low > 1 {
		ch, _, _ = g.tiny(ctx)
	}
	if o, ok := g.told(ctx, p.Message); !ok {
		return []result.Limit{g.undecided("%d small events do not come before the next; of one of 2 KiB: %s", low, o.says)}, true
	}
	if _, ok := g.comes(ctx, ch, g.prompt); ok {
		return nil, false
	}
	owner, by := g.owner()
	says := fmt.Sprintf("an event comes when the %s one after it is published", ordinal(high-1))
	if high-low > 1 {
		says = fmt.Sprintf("an event comes when %d to %d more are published", low, high-1)
	}
	if bytes >= tinyEvent {
		says += "; its bytes come at once, but the blank line that ends it does not"
	}
	return []result.Limit{
		none(g.id, g.title, 0, "bytes", "so many events are held back, not so many bytes"),
		found(g.kin("events"), "events held back", float64(low), float64(high-1), "events", owner, "%s%s", says, by),
	}, true
}

func ordinal(n int) string {
	switch n {
	case 1:
		return "first"
	case 2:
		return "second"
	}
	return fmt.Sprintf("%dth", n)
}

// size looks for the number of bytes that gather before any leave.
func (g *gatherer) size(ctx context.Context) result.Limit {
	low, high := 0, tinyEvent
	for ; ; high = max(2*high, leastHeld) {
		if high > mostHeld {
			return undecided(g.id, g.title, "bytes", "--publish", "nothing comes even after %s were published: whether what is published goes to this stream cannot be told", result.Bytes(mostHeld))
		}
		g.Note("%s published", result.Bytes(float64(high)))
		came, o := g.tryAgain(ctx, high)
		for o.fate == spoiled && g.piece > leastHeld { // so much may be too much for one event
			g.piece /= 4
			came, o = g.tryAgain(ctx, high)
		}
		if o.fate != intact {
			return g.undecided("nothing comes after %s were published; of more, %s", result.Bytes(float64(low)), o.says)
		}
		if came && low == 0 {
			return none(g.id, g.title, 0, "bytes", "small events come at once, though one did not")
		}
		if came {
			break
		}
		low = high
		g.nothing = low
	}
	per := g.overhead(ctx, high)
	for high-low > max(64, low/20) {
		mid := low + (high-low)/2
		g.Note("%d bytes published: the limit lies between %d and %d", mid, low, high)
		came, o := g.tryAgain(ctx, mid)
		switch {
		case o.fate != intact:
		case came:
			high = mid
			continue
		default:
			low = mid
			continue
		}
		break // what is known stands
	}
	// On the wire each event has more than its data.
	wire := func(n int) float64 { return float64(n) + float64(g.pieces(n))*per }
	owner, by := g.owner()
	what, more := "nothing", ""
	if g.head {
		what = fmt.Sprintf("nothing, not even the head of the response with its %d bytes,", g.seen.End-g.seen.Offset)
	}
	if g.packed {
		more = ", before compression"
	}
	return found(g.id, g.title, wire(low), wire(high), "bytes", owner, "%s comes before so much is published%s%s", what, more, by)
}

// silent is what is found of a compressor that holds back the head of the response too, where streams that are not compressed are answered, with plain. What is published is known to go to streams.
func (g *gatherer) silent(ctx context.Context, plain *wire.Head, silence time.Duration) result.Limit {
	g.seen = plain
	says := fmt.Sprintf("streams are answered without Accept-Encoding: gzip, and with it not within %s", shown(silence))
	l := g.size(ctx)
	if l.Verdict != result.LimitUndecided {
		l.Evidence = says + "; " + l.Evidence
		return l
	}
	owner, by := g.owner()
	least := float64(plain.End - plain.Offset)
	if g.nothing > 0 {
		says += fmt.Sprintf(", nor when %s were published", result.Bytes(float64(g.nothing)))
		least = max(least, float64(g.nothing))
	}
	l = found(g.id, g.title, least, least, "bytes", owner, "%s: at least so much is held back%s", says, by)
	l.High = nil
	return l
}

// overhead is how much more than its data an event is on the wire, where n bytes were tried. More is published, so that the last of them comes too.
func (g *gatherer) overhead(ctx context.Context, n int) float64 {
	const least = float64(len("data: \n\n"))
	if g.last == nil {
		return least
	}
	for left := 2 * n; left > 0; left -= g.piece {
		if _, ok := g.told(ctx, payloadOf(min(left, g.piece)).Message); !ok {
			return least
		}
	}
	a, ok := g.comes(ctx, g.last, 2*g.prompt)
	if !ok {
		return least
	}
	return max(least, float64(a.End-g.base-int64(n))/float64(g.pieces(n)))
}

// pieces is how many events n bytes are published as: a small one, and as many as the rest needs.
func (g *gatherer) pieces(n int) int {
	return 1 + max(0, n-tinyEvent+g.piece-1)/g.piece
}

// tryAgain is try, and once more where nothing can be said: the stream may have ended for other reasons.
func (g *gatherer) tryAgain(ctx context.Context, n int) (came bool, o outcome) {
	if came, o = g.try(ctx, n); o.fate == unknown && ctx.Err() == nil {
		came, o = g.try(ctx, n)
	}
	return came, o
}

// try publishes n bytes of data to a stream that holds nothing and tells whether any of it comes.
func (g *gatherer) try(ctx context.Context, n int) (came bool, o outcome) {
	g.close()
	var opened chan outcome
	if g.head {
		opened = make(chan outcome, 1)
		life, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { opened <- g.fresh(life) }()
		defer func() {
			if came {
				return
			}
			cancel()
			<-opened
			g.close()
		}()
		pause(ctx, settle)
	} else if o = g.fresh(ctx); o.fate != intact {
		return false, o
	}
	if g.sync {
		ch, _, o := g.tiny(ctx)
		if o.fate != intact {
			return false, o
		}
		if _, ok := g.comes(ctx, ch, mostAlone*2); !ok {
			return false, outcome{fate: unknown, says: "a small event does not come any more"}
		}
	}
	var first <-chan Arrival
	g.last = nil
	if !g.head {
		g.base = g.stream.Facts().Bytes
	}
	for left, size := n, tinyEvent; left > 0; left, size = left-size, min(left-size, g.piece) {
		p := payloadOf(size)
		if !g.head {
			g.last = g.stream.Await(p.Marker)
			first = cmp.Or(first, g.last)
		}
		if o, ok := g.told(ctx, p.Message); !ok {
			return false, o
		}
	}
	if g.head {
		select {
		case o = <-opened:
			return o.fate == intact, o
		case <-time.After(g.prompt):
			return false, o
		}
	}
	_, came = g.comes(ctx, first, g.prompt)
	switch {
	case came:
	case ctx.Err() != nil:
		o = outcome{fate: unknown, says: "the time for this probe is over"}
	case !g.stream.Alive():
		o = outcome{fate: unknown, says: "the stream ends: " + printOf(g.stream.Facts().Err).Says}
	}
	return came, o
}
