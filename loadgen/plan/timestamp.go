package plan

// Timestamp is where the data of an event says when it was sent. One of the two is given. Its unit is guessed.
type Timestamp struct {
	JSON   string `yaml:"json"`  // a place in JSON: meta.sent, items[0].t, /meta/sent
	Regexp string `yaml:"regex"` // its first group
}

func (p *Plan) validTimestamp() error {
	t := p.Timestamp
	switch {
	case t == nil:
	case p.Publish != nil:
		return &Error{"timestamp", "given together with publish; published events carry a marker, which says more: want one of them"}
	case (t.JSON == "") == (t.Regexp == ""):
		return &Error{"timestamp", "want either json or regex"}
	}
	return nil
}

func (p *Plan) timestampMap(m map[string]any) {
	if t := p.Timestamp; t != nil {
		m["timestamp"] = map[string]any{"json": t.JSON, "regex": t.Regexp}
	}
}
