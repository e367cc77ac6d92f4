package server

// bytesFaults break the rules of lines and fields, and of what becomes of payloads.
var bytesFaults = []Fault{}
