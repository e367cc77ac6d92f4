package server

// profileFaults break what a protocol on top of event streams asks: each shows on the route of its profile, below /profile/.
var profileFaults = []Fault{
	{ID: "mcp/priming", Text: "/profile/mcp: the stream begins with a message, not with an id alone"},
	{ID: "mcp/retry", Text: "/profile/mcp: the connection ends before the answer, and no retry field says when to come back"},
	{ID: "mcp/resume", Text: "/profile/mcp: who comes back by GET with an id is answered 405"},
	{ID: "llm/done", Text: "/profile/llm: the stream ends without [DONE]"},
	{ID: "jakarta/503", Text: "/profile/jakarta: 503 without Retry-After"},
	{ID: "mercure/id", Text: "/profile/mercure: updates have no id"},
	{ID: "mercure/last-event-id", Text: "/profile/mercure: an id that is not known is answered as if it were"},
	{ID: "mercure/query", Text: "/profile/mercure: the parameter lastEventID is ignored"},
	{ID: "mercure/earliest", Text: "/profile/mercure: earliest gets no history"},
}

// breaks tells whether the server is to break the rule of that id.
func (s *Server) breaks(id string) bool { return s.fault.ID == id }
