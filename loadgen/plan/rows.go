package plan

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ssegauge/loadgen/schedule"
)

// Variables are what differs from stream to stream: the rows of a CSV file whose first line names the columns.
type Variables struct {
	File  string `yaml:"file"`
	Order string `yaml:"order"` // turn (default): stream n has row n, and the first again after the last; random: any, by the plan's seed
}

// The orders of rows.
const (
	Turn   = "turn"
	Random = "random"
)

// How many bytes of rows are kept, and how many rows. In turn, no more rows are read than there are streams.
const (
	maxRows  = 256 << 20
	mostRows = 1 << 24
)

// rows are the cells of a CSV file, one after the other.
type rows struct {
	file  string
	names []string
	cells []byte
	ends  []uint32 // of each cell
	lines []uint32 // of each row
	pick  func(stream int) int
}

func (r *rows) len() int { return len(r.lines) }

// put writes the cells of a row by their names.
func (r *rows) put(row map[string]string, i int) {
	at := i * len(r.names)
	begin := uint32(0)
	if at > 0 {
		begin = r.ends[at-1]
	}
	for j, name := range r.names {
		end := r.ends[at+j]
		row[name] = string(r.cells[begin:end])
		begin = end
	}
}

// load reads the file for a plan of so many streams. The errors say the line; cells stand in none, they may be credentials.
func (v *Variables) load(streams int, seed uint32) (*rows, error) {
	switch v.Order {
	case "":
		v.Order = Turn
	case Turn, Random:
	default:
		return nil, &Error{"variables.order", quote(v.Order) + "; want turn or random"}
	}
	bad := func(format string, args ...any) (*rows, error) {
		return nil, &Error{"variables.file", quote(v.File) + ": " + fmt.Sprintf(format, args...)}
	}
	f, err := os.Open(v.File)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return bad("%v", err)
	}
	defer f.Close()
	most := streams
	if v.Order == Random {
		most = 0
	}
	r, err := readRows(f, most, maxRows)
	if err != nil {
		return bad("%v", err)
	}
	r.file = v.File
	r.pick = func(stream int) int { return stream % r.len() }
	if v.Order == Random {
		r.pick = func(stream int) int { return int(schedule.Draw(uint64(seed)<<32, stream) % uint64(r.len())) }
	}
	return r, nil
}

var errTooLarge = fmt.Errorf("more than %d MiB or %d rows are needed of it; want a smaller file, or fewer streams", maxRows>>20, mostRows)

// readRows reads at most so many rows, 0: all, of at most limit bytes.
func readRows(in io.Reader, most int, limit int64) (*rows, error) {
	limited := &io.LimitedReader{R: in, N: limit + 1}
	c := csv.NewReader(limited)
	c.ReuseRecord = true
	wrong := func(err error) error {
		var pe *csv.ParseError
		switch {
		case limited.N <= 0:
			return errTooLarge
		case !errors.As(err, &pe):
			return err
		case errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote):
			return fmt.Errorf(`line %d: a quote that opens or closes nothing; want "a cell with ""quotes"""`, pe.Line)
		}
		return fmt.Errorf("line %d: %v", pe.StartLine, pe.Err)
	}
	head, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty; want a first line that names the columns")
	}
	if err != nil {
		return nil, wrong(err)
	}
	r := &rows{names: slices.Clone(head)}
	for i := range r.names {
		name := strings.TrimSpace(r.names[i])
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		if name == "" || slices.Contains(r.names[:i], name) {
			return nil, fmt.Errorf("line 1: column %d has no name of its own; want one for each", i+1)
		}
		r.names[i] = name
	}
	for most == 0 || r.len() < most {
		cells, err := c.Read()
		if errors.Is(err, csv.ErrFieldCount) {
			line, _ := c.FieldPos(0)
			return nil, fmt.Errorf("line %d: %d cells where the first line names %d columns", line, len(cells), len(r.names))
		}
		if errors.Is(err, io.EOF) && limited.N > 0 {
			break
		}
		if err != nil {
			return nil, wrong(err)
		}
		line, _ := c.FieldPos(0)
		r.lines = append(r.lines, uint32(line))
		for _, cell := range cells {
			r.cells = append(r.cells, cell...)
			r.ends = append(r.ends, uint32(len(r.cells)))
		}
		if c.InputOffset() > limit || r.len() > mostRows {
			return nil, errTooLarge
		}
	}
	if r.len() == 0 {
		return nil, errors.New("there is no row after the first line, which names the columns")
	}
	return r, nil
}
