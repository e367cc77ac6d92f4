package server

// liveFaults break the rules of delivery, of how streams end, and of how they share the server.
var liveFaults = []Fault{}
