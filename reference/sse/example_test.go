package sse_test

import (
	"fmt"

	"ssegauge/reference/sse"
)

func ExampleDecoder() {
	var d sse.Decoder
	var ev sse.Event
	// A stream as it may come off a socket: an event is cut in two.
	for _, chunk := range [][]byte{[]byte("id: 1\nevent: add\nda"), []byte("ta: one\ndata: two\n\n: heartbeat\n\n")} {
		for {
			n, ok, err := d.Next(chunk, &ev)
			if err != nil {
				fmt.Println(err)
				return
			}
			chunk = chunk[n:]
			if !ok {
				break
			}
			fmt.Printf("%s %q, last event ID %q, bytes %d to %d\n", ev.Name(), sse.Text(ev.Data), sse.Text(ev.ID), ev.Start, ev.End)
		}
	}
	// Output: add "one\ntwo", last event ID "1", bytes 0 to 38
}

func ExampleDecoder_Inspect() {
	var d sse.Decoder
	var ev sse.Event
	chunk := []byte(": hi\nData: lost\n\nid: 4\ndata: x\r\n")
	for ok := true; ok; {
		var n int
		n, ok, _ = d.Inspect(chunk, &ev, func(l *sse.Line) {
			fmt.Printf("%d-%d %v name=%q value=%q %v\n", l.Start, l.End, l.Kind, l.Name, l.Value, l.EOL)
		})
		chunk = chunk[n:]
	}
	tail, _ := d.Tail()
	fmt.Println("ends inside an event:", tail.Loses())
	// Output:
	// 0-5 comment name="" value=" hi" LF
	// 5-16 unknown name="Data" value="lost" LF
	// 16-17 blank name="" value="" LF
	// 17-23 id name="id" value="4" LF
	// 23-32 data name="data" value="x" CRLF
	// ends inside an event: true
}

func ExampleAppendMessage() {
	stream := sse.AppendComment(nil, "heartbeat")
	stream, err := sse.AppendMessage(stream, &sse.Message{ID: "7", Event: "add", Data: "one\ntwo"})
	fmt.Printf("%s%v\n", stream, err)
	_, err = sse.AppendMessage(nil, &sse.Message{Event: "x\ndata: injected"})
	fmt.Println(err)
	// Output:
	// : heartbeat
	// id: 7
	// event: add
	// data: one
	// data: two
	//
	// <nil>
	// sse: event holds CR or LF, which would end its line and begin another field; remove it
}
