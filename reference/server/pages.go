package server

import "net/http"

func pageHead(h http.Header) {}
