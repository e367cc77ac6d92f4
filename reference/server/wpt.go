package server

const wptPrefix = "/wpt/"
