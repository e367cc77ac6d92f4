package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"

	"ssegauge/reference/server"
)

func main() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	s, err := server.New(server.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Println(s.Serve(ctx, l, nil))
}
