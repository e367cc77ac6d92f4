package wire

import (
	"fmt"
	"strconv"
)

// CapError reports that a cap of ours, not the protocol, stopped reading.
type CapError struct {
	What   string // what grew too large: "header block", "unsent answers"
	Limit  int64  // the cap, in bytes unless What says otherwise
	Offset int64  // in the connection's received bytes
}

func (e *CapError) Error() string {
	return fmt.Sprintf("%s exceeds the cap of %d at byte %d", e.What, e.Limit, e.Offset)
}

// Error makes a fault after which reading cannot go on the error that says so.
func (f *Fault) Error() string {
	s := string(f.Code) + " at byte " + strconv.FormatInt(f.Offset, 10) + ": " + f.Detail
	if f.Clause != "" {
		s += " (" + f.Clause + ")"
	}
	return s
}
