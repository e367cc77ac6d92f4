package engine

// alarm is a time at which to look at something.
type alarm struct {
	due int64 // ns since the board's epoch
	pad int32 // what: the loop knows
}

// alarms is a heap: the first is due first.
type alarms []alarm

func (h *alarms) push(a alarm) {
	*h = append(*h, a)
	q := *h
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if q[up].due <= q[i].due {
			break
		}
		q[up], q[i] = q[i], q[up]
		i = up
	}
}

func (h *alarms) pop() {
	q := *h
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < last; k++ {
			if q[k].due < q[least].due {
				least = k
			}
		}
		if least == i {
			break
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
	if *h = q; last == 0 || cap(q) > 1024 && last < cap(q)/4 {
		*h = append(alarms(nil), q...) // give the peak's memory back
	}
}
