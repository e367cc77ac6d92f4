// Package hostile has no code but tests: the program, as it is built, against targets that want to hang it, to fill its memory, or to do something to
// who reads its reports. The table of them stands in hostile_test.go.
package hostile
