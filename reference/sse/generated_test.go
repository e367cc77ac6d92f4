package sse

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// words are what generated streams are made of: random bytes seldom make a field.
var words = []string{
	"data", "event", "id", "retry", "dat", "datas", "foo", "longer name", ":", ":", ":", ": ", " ", "x", "abc", "12", "0", "\x00", "\t",
	"\n", "\n", "\n", "\r", "\r\n", "\r\n", "\n\n", "\r\r", "\uFEFF", "\xEF", "\xBB", "é", "\xFF", "\xE2\x82",
	"data: x\n", "data: y\r\n", "event: e\n", "id: 1\n", "id: 2\r", "retry: 5\n", ": c\n", "data: z\n\n",
}

func generate(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// TestGeneratedStreams: thousands of streams that are nearly right, cut at random, each the same as in the model and to the peers.
func TestGeneratedStreams(t *testing.T) {
	n := 5000
	if raceEnabled {
		n = 500
	}
	r := rand.New(rand.NewPCG(9, 2))
	for i := range n {
		stream := generate(r)
		var cuts []int
		for at := 0; at < len(stream); at += 1 + r.IntN(12) {
			cuts = append(cuts, at)
		}
		limit, seed := DefaultMaxEvent, ""
		if i%4 == 0 {
			limit, seed = 1+r.IntN(12), "seed"
		}
		agree(t, stream, seed, limit, pieces(stream))
		agree(t, stream, seed, limit, pieces(stream, cuts...))
		agree(t, stream, seed, limit, every(stream, 1))
		comparePeers(t, stream)
	}
}
