package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxFile bounds what [Decode] reads: far above any run, far below what would hurt.
const MaxFile = 64 << 20

// Encode writes the run as the JSON of the contract, indented, with a line feed at the end; several runs as one document of schema [SchemaRuns]. Lists are
// never null, and whatever a terminal might obey or a reader could not see (DEL, C1 controls, bidirectional
// overrides) is written as \u escapes, so that the file can be shown as it is.
func Encode(w io.Writer, all ...*Run) error {
	var b []byte
	var err error
	if len(all) == 1 {
		b, err = json.MarshalIndent(all[0].stored(), "", "  ")
	} else {
		b, err = encodeSeveral(all)
	}
	if err != nil {
		return fmt.Errorf("encode run: %w", err)
	}
	_, err = w.Write(append(asciiControls(b), '\n'))
	return err
}

// stored is the run as it stands in a file.
func (r *Run) stored() *Run {
	r = r.Complete()
	r.Outcome, r.Words = r.Status(), r.Sentence()
	return r
}

// EncodeLine writes any value of a run as one line of JSON, with the same care as [Encode].
func EncodeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = w.Write(append(asciiControls(b), '\n'))
	return err
}

// asciiControls rewrites, in JSON, every rune that does not print as \u escapes: outside of strings JSON has no
// such rune but line ends, so the meaning stays.
func asciiControls(b []byte) []byte {
	if bytes.IndexFunc(b, hidden) < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		switch {
		case !hidden(c):
			out = append(out, b[:n]...)
		case c > 0xffff:
			hi, lo := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		b = b[n:]
	}
	return out
}

// hidden takes U+FFFD in, so that what was no UTF-8 when it was first written is written the same ever after.
func hidden(c rune) bool { return c != '\n' && (!strconv.IsPrint(c) || c == utf8.RuneError) }

// SchemaError is returned by [Decode] for a document of a schema that it does not know.
type SchemaError struct {
	Schema string // what the document says, "" if nothing
}

func (e *SchemaError) Error() string {
	if e.Schema == "" {
		return "not a result of ssegauge: no \"schema\" member"
	}
	return fmt.Sprintf("schema %q is not known here (known: %s, %s, %s, %s)", Escape(clip(e.Schema, 60)), SchemaCheck, SchemaLoad, SchemaLimits, SchemaRuns)
}

// Decode reads one run from JSON as [Encode] writes it (several: [DecodeAll]), at most [MaxFile] bytes. Members that this version does not know are
// ignored. The error is a [*SchemaError] for other schemas; otherwise it names the member, or the place in the document.
func Decode(rd io.Reader) (*Run, error) {
	b, schema, err := readDocument(rd)
	if err != nil {
		return nil, err
	}
	return decode(b, schema)
}

// readDocument reads a document and its schema.
func readDocument(rd io.Reader) (b []byte, schema string, err error) {
	b, err = io.ReadAll(io.LimitReader(rd, MaxFile+1))
	if err != nil {
		return nil, "", err
	}
	if len(b) > MaxFile {
		return nil, "", fmt.Errorf("larger than %d MiB: not a result of ssegauge", MaxFile>>20)
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	var head struct {
		Schema string `json:"schema"`
	}
	if err := unmarshal(b, &head); err != nil {
		return nil, "", err
	}
	return b, head.Schema, nil
}

func decode(b []byte, schema string) (*Run, error) {
	r := new(Run)
	switch schema {
	case SchemaCheck:
		r.Check = new(Check)
	case SchemaLoad:
		r.Load = new(Load)
	case SchemaLimits:
		r.Limits = new(Limits)
	default:
		return nil, &SchemaError{schema}
	}
	if err := unmarshal(b, r); err != nil {
		return nil, err
	}
	switch schema {
	case SchemaCheck:
		r.Load, r.Limits = nil, nil // members of the other commands are unknown members
		if r.Check.Results == nil {
			return nil, fmt.Errorf("%s without \"results\"", SchemaCheck)
		}
	case SchemaLoad:
		r.Check, r.Limits = nil, nil
		if r.Validity.Verdict == "" {
			return nil, fmt.Errorf("%s without \"validity\"", SchemaLoad)
		}
	case SchemaLimits:
		r.Check, r.Load = nil, nil
		if r.Limits.Limits == nil {
			return nil, fmt.Errorf("%s without \"limits\"", SchemaLimits)
		}
	}
	r.Outcome, r.Words = "", "" // they follow from the rest
	return r.Complete(), nil
}

func unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case len(bytes.TrimSpace(b)) == 0:
		return errors.New("empty: not a result of ssegauge")
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(b[:min(int(syntax.Offset), len(b))], []byte("\n"))
		return fmt.Errorf("not JSON: line %d: %s", line, Escape(err.Error()))
	case errors.As(err, &kind):
		return fmt.Errorf("member %q: a JSON %s where %s is expected", Escape(kind.Field), kind.Value, kind.Type)
	}
	return errors.New(Escape(err.Error()))
}

// Complete returns the run as every output shows it: each list and map that the contract promises is present, and credentials are masked wherever whoever filled the
// run has left one (the target, the plan, commands to reproduce). r is not changed.
func (r *Run) Complete() *Run {
	out := *r
	out.Target.URL, out.Error = Mask(r.Target.URL), MaskText(r.Error)
	if r.Check != nil {
		c := *r.Check
		c.Results = completed(r.Results)
		c.Policy = slices.Clone(r.Policy)
		for i := range c.Policy {
			c.Policy[i].Reason = MaskText(c.Policy[i].Reason)
		}
		out.Check = &c
	}
	if r.Load != nil {
		l := *r.Load
		if l.Validity.Reasons == nil {
			l.Validity.Reasons = []string{}
		}
		l.Plan = maskMembers(l.Plan)
		if l.Streams.Failures == nil {
			l.Streams.Failures = map[string]int{}
		}
		latency := make(map[string]*Quantiles, len(l.LatencyUS))
		for name, q := range l.LatencyUS {
			if q == nil {
				q = new(Quantiles)
			}
			latency[name] = q
		}
		l.LatencyUS = latency
		l.Disconnects = slices.Clone(l.Disconnects)
		for i := range l.Disconnects {
			if l.Disconnects[i].AgeUS == nil {
				l.Disconnects[i].AgeUS = new(Quantiles)
			}
		}
		if len(l.Findings) > 0 {
			l.Findings = completed(l.Findings)
		}
		if l.Generator.DelayUS == nil {
			l.Generator.DelayUS = new(Quantiles)
		}
		if l.Gates == nil {
			l.Gates = []Gate{}
		}
		l.Series = make([]Series, len(r.Series))
		for i, s := range r.Series {
			if s.Values == nil {
				s.Values = Points{}
			}
			l.Series[i] = s
		}
		out.Load = &l
	}
	if r.Limits != nil {
		l := *r.Limits
		l.Expect, l.Remarks = maskedAll(r.Expect), maskedAll(r.Remarks)
		l.Gone = MaskText(l.Gone)
		l.Limits = append([]Limit{}, l.Limits...)
		for i := range l.Limits {
			x := &l.Limits[i]
			x.Title, x.Evidence, x.Found = MaskText(x.Title), MaskText(x.Evidence), x.Verdict == LimitFound
		}
		l.Curve = append([]Rung{}, l.Curve...)
		l.Thresholds = slices.Clone(l.Thresholds)
		for i := range l.Thresholds {
			l.Thresholds[i].Reason = MaskText(l.Thresholds[i].Reason)
		}
		out.Limits = &l
	}
	return &out
}

// maskedAll masks each of several texts; the result is never nil.
func maskedAll(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = MaskText(s)
	}
	return out
}

func completed(findings []Finding) []Finding {
	out := make([]Finding, len(findings))
	for i, f := range findings {
		if f.Evidence == nil {
			f.Evidence = []Evidence{}
		}
		f.Reproduce = MaskText(f.Reproduce)
		out[i] = f
	}
	return out
}

// MarshalJSON writes what is no number as null.
func (p Points) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2+8*len(p))
	out = append(out, '[')
	for i, v := range p {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			out = append(out, "null"...)
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return append(out, ']'), nil
}

// UnmarshalJSON reads null as NaN.
func (p *Points) UnmarshalJSON(b []byte) error {
	var values []*float64
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	*p = make(Points, len(values))
	for i, v := range values {
		(*p)[i] = math.NaN()
		if v != nil {
			(*p)[i] = *v
		}
	}
	return nil
}
