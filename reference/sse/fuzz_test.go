package sse

import (
	"testing"
)

// seeds are streams that fuzzing starts from, beside those of testdata.
var seeds = []string{
	"", "\n", "\r", "\r\n", "\uFEFF", "\uFEFF\uFEFFdata: x\n\n", "\xEF\xBBdata: x\n\n",
	"data: a\n\n", "data: a\r\rdata: b\r\n\r\n", "id: 1\nevent: e\ndata: x\ndata\n\n",
	":\n:\n\nretry: 10\nid\n\nid: a\x00\ndata\n\n", "event: e\n\ndata:  x\n\nid: 5\ndata: lost",
	"datax: 1\ndat: 1\n data: 1\ndata : 1\nDATA: 1\nevents: 1\nretryy: 1\n\n", "retry: 99999999999999999999\nretry: 1x\nretry:\n\n",
	"longname", "longnamed: value\n\n", "data: \xff\xe2\x82\n\n",
}

func addSeeds(f *testing.F, add func(stream string)) {
	for _, s := range seeds {
		add(s)
	}
	for _, v := range loadVectors(f) {
		if len(v.stream) < 4096 {
			add(v.stream)
		}
	}
}

// cutsFrom turns fuzzed bytes into places to cut: each is the length of a piece less one.
func cutsFrom(b []byte) []int {
	var cuts []int
	at := 0
	for _, n := range b {
		at += int(n) + 1
		cuts = append(cuts, at)
	}
	return cuts
}

// FuzzCuts: wherever a stream is cut, and whatever the cap, it means what the standard says it means whole.
func FuzzCuts(f *testing.F) {
	addSeeds(f, func(s string) {
		f.Add(s, []byte{0, 1, 2, 0, 0, 5}, "seed", uint16(0))
		f.Add(s, []byte{4}, "", uint16(7))
	})
	f.Fuzz(func(t *testing.T, stream string, cuts []byte, seed string, limit uint16) {
		max := int(limit)
		if max == 0 {
			max = DefaultMaxEvent
		}
		want := model(stream, seed, max).String()
		for _, chunks := range [][][]byte{pieces(stream), every(stream, 1), pieces(stream, cutsFrom(cuts)...)} {
			g, _ := read(t, chunks, seed, max, false)
			if s := g.String(); s != want {
				t.Fatalf("stream %q in %q:\n%s\nthe standard:\n%s", stream, chunks, s, want)
			}
		}
	})
}

// FuzzInspect: Inspect gives the verdicts of Next, and its lines tile the stream and are those of the standard.
func FuzzInspect(f *testing.F) {
	addSeeds(f, func(s string) { f.Add(s, []byte{0, 1, 2, 0, 0, 5}, uint16(0)) })
	f.Fuzz(func(t *testing.T, stream string, cuts []byte, limit uint16) {
		max := int(limit)
		if max == 0 {
			max = DefaultMaxEvent
		}
		agree(t, stream, "", max, pieces(stream))
		agree(t, stream, "", max, pieces(stream, cutsFrom(cuts)...))
	})
}
