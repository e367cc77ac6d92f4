package server

var faults []Fault
