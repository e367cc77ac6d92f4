package wire

import "fmt"

// beginData accounts for a DATA frame the moment its head is read: nothing of it is ever buffered here, so its bytes count
// as consumed, and the credit for them can go out.
func (f *Frames) beginData(it *Item) {
	length := f.left
	f.pad, f.discard, f.badPad = 0, true, false
	f.state = readContent
	switch {
	case length > maxFrame:
		f.fault(it, FaultH2FrameSize, f.id, fmt.Sprintf("DATA of %d bytes; we allow %d", length, maxFrame))
		return
	case f.id == 0:
		f.fault(it, FaultH2StreamID, 0, "DATA on stream 0; it belongs to a stream")
		return
	case int64(length) > f.recvWin:
		f.fault(it, FaultH2ConnWindow, 0, fmt.Sprintf("DATA of %d bytes; the connection's window has %d left", length, f.recvWin))
		return
	}
	s := f.streams.find(f.id)
	if s == nil && f.checkIdle(it) {
		return
	}
	f.recvWin -= int64(length)
	switch {
	case s == nil:
		if f.id > f.streams.forgotten {
			f.fault(it, FaultH2Closed, f.id, fmt.Sprintf("DATA on stream %d, which has ended", f.id))
			f.idled(it)
		}
	case s.state() == streamCancelled:
		// In flight when we reset the stream: no more than its window can be.
		if length > s.window() {
			f.fault(it, FaultH2Closed, f.id, fmt.Sprintf("DATA on stream %d beyond its window, after we reset it", f.id))
			f.idled(it)
		} else {
			s.setWindow(s.window() - length)
		}
	case length > s.window():
		f.fault(it, FaultH2StreamWindow, f.id, fmt.Sprintf("DATA of %d bytes; the stream's window has %d left", length, s.window()))
	case s.state() == streamWaiting:
		f.fault(it, FaultH2NoHead, f.id, "DATA before a final head")
	default:
		f.discard = false
		s.setWindow(s.window() - length)
		if !f.opt.ManualWindow && f.flags&flagEndStream == 0 && s.window() <= f.opt.StreamWindow/2 {
			f.answer()
			f.windowUpdate(f.id, f.opt.StreamWindow-s.window())
			s.setWindow(f.opt.StreamWindow)
		}
	}
	if f.credited == 0 && f.recvWin <= int64(f.opt.ConnWindow/2) {
		f.answer()
		f.credited = uint32(int64(f.opt.ConnWindow) - f.recvWin)
		f.windowUpdate(0, f.credited)
		f.creditedAt = f.sent + int64(len(f.out)-f.written)
	}
	if f.err != nil {
		return
	}
	if f.flags&flagPadded != 0 {
		if length == 0 {
			f.fault(it, FaultH2FrameSize, f.id, "padded DATA without a pad length")
			return
		}
		f.state = readPadLength
		return
	}
	f.count(it)
}

// beginPadded takes the pad length of a DATA frame.
func (f *Frames) beginPadded(pad byte, it *Item) {
	if uint32(pad) >= f.left {
		f.fault(it, FaultH2Padding, f.id, fmt.Sprintf("a pad length of %d in %d bytes of payload", pad, f.left))
		return
	}
	f.pad = pad
	f.left -= 1 + uint32(pad)
	f.state = readContent
	if f.opt.ManualWindow && !f.discard {
		f.answer()
		f.Credit(f.id, 1+uint32(pad))
	}
	f.count(it)
}

// count judges the content a DATA frame announces, f.left bytes, against what the stream declared.
func (f *Frames) count(it *Item) {
	switch {
	case f.discard:
		return
	case f.left > 0:
		f.idle = 0
	case f.flags&flagEndStream == 0:
		f.idled(it)
	}
	if len(f.lengths) == 0 {
		return
	}
	if s := f.streams.find(f.id); s != nil && s.win&counted != 0 {
		rest := f.lengths[f.id] - int64(f.left)
		f.lengths[f.id] = rest
		if rest < 0 {
			s.win &^= counted
			delete(f.lengths, f.id)
			f.fault(it, FaultH2Length, f.id, fmt.Sprintf("DATA goes %d bytes beyond the content that was declared", -rest))
		}
	}
}

// afterContent goes on behind the content of a DATA frame.
func (f *Frames) afterContent() {
	switch {
	case f.pad > 0:
		f.state = readPadding
	case f.flags&flagEndStream != 0:
		f.state = readEnd
	default:
		f.state = readHead
	}
}

// endStream does what END_STREAM asks: the peer says no more on this stream.
func (f *Frames) endStream(id uint32, it *Item) {
	s := f.streams.find(id)
	switch {
	case s == nil:
		return
	case s.state() == streamCancelled:
		f.streams.close(s)
		return
	case s.state() == streamWaiting:
		f.fault(it, FaultH2NoHead, id, "the stream ended before a final head")
		return
	}
	if s.win&counted != 0 && f.lengths[id] > 0 {
		f.fault(it, FaultH2Length, id, fmt.Sprintf("the stream ended %d bytes before the end of the content that was declared", f.lengths[id]))
	}
	f.emit(it, Item{Kind: End, Stream: id, Offset: f.frameAt})
	if f.upload(id) != nil {
		f.Cancel(id, CodeCancel) // the answer is complete: nobody waits for the rest of the request
		return
	}
	f.drop(id)
}

// drop forgets a stream that is over.
func (f *Frames) drop(id uint32) {
	f.dropUpload(id)
	if s := f.streams.find(id); s != nil {
		if s.win&counted != 0 {
			delete(f.lengths, id)
		}
		f.streams.close(s)
	}
}
