package serverchecks

import (
	"context"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// The same checks by two ways: through what stands at the URL, and past it. A check that comes to a graver verdict through the proxy than past it names
// something that the proxy does; where both are the same, the server does it, and its own check says so. Only what both ways decided is compared. What the proxy
// mends is no complaint.
var liveProxyDiff = conformance.Check{
	ID: "live/proxy-diff", Title: "what lies in front of the server changes nothing", Level: result.Advice, Clause: "WHATWG HTML 9.2.7",
	Needs: conformance.Extra | conformance.Direct,
	Text: "A proxy, a load balancer or a compressing middlebox in front of the server hands on what the server sends, as it comes: the same head, the same bytes, at the same time. " +
		"The requirement is held by running every check twice, through the proxy and past it (--direct-url), and comparing the verdicts.",
	Why: "A stream that works on the developer's machine and stalls in production is the commonest complaint there is: a proxy buffers until 4, 8 or 32 KiB are full, ends what is idle, compresses without " +
		"flushing, or adds a Content-Length. Without the second way nobody can tell whose fault it is.",
	Good:     "through the proxy: live/unbuffered pass\npast it:           live/unbuffered pass\n",
	Bad:      "through the proxy: live/unbuffered fail (nothing until 4096 bytes)\npast it:           live/unbuffered pass\n",
	Evidence: []string{"nginx/nginx#1505", "Azure/static-web-apps#1180"},
	Run:      judgeProxyDiff,
}

// gravity orders the verdicts that can be compared; 0: nothing was decided.
func gravity(v result.Verdict) int {
	switch v {
	case result.Pass, result.Info:
		return 1
	case result.Warn:
		return 2
	case result.Fail:
		return 3
	}
	return 0
}

func judgeProxyDiff(_ context.Context, p *conformance.Probe) {
	if !p.Require(conformance.Direct) {
		return
	}
	through, direct, err := p.Past()
	if err != nil {
		if p.Interrupted() {
			p.NotObserved("interrupted")
			return
		}
		p.NotObserved("past the proxy nothing could be judged: %s", conformance.Cause(err)).
			Hint("--direct-url must lead to the same stream, without the proxy")
		return
	}
	var failed, warned, mended []string
	var evidence []result.Evidence
	hint, compared := "", 0
	for i := range through {
		f := &through[i]
		at := slices.IndexFunc(direct, func(d result.Finding) bool { return d.ID == f.ID })
		if at < 0 || gravity(f.Verdict) == 0 || gravity(direct[at].Verdict) == 0 {
			continue
		}
		compared++
		switch from, to := gravity(direct[at].Verdict), gravity(f.Verdict); {
		case to < from:
			mended = append(mended, f.ID)
			continue
		case to == from:
			continue
		case f.Verdict == result.Fail:
			failed = append(failed, f.ID+" ("+f.Message+")")
		default:
			warned = append(warned, f.ID+" ("+f.Message+")")
		}
		if hint == "" {
			hint = f.Hint
		}
		evidence = append(evidence, f.Evidence[:min(1, len(f.Evidence))]...)
	}
	advice := "it is what lies in front of the server that does this: mend it there"
	if hint != "" {
		advice += "; for the first: " + hint
	}
	const says = "past the proxy the server does it better: %s"
	switch {
	case compared == 0:
		p.NotObserved("no check came to a verdict both through the proxy and past it")
	case len(failed) > 0:
		p.Fail(says, strings.Join(append(failed, warned...), "; ")).Hint("%s", advice).At(evidence...)
	case len(warned) > 0:
		p.Warn(says, strings.Join(warned, "; ")).Hint("%s", advice).At(evidence...)
	case len(mended) > 0:
		p.Pass("%d checks compared; the proxy mends %s", compared, strings.Join(mended, ", "))
	default:
		p.Pass("%d checks come to the same verdict both ways", compared)
	}
}
