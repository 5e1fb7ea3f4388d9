package hooks

// takeOver responds to POST /takeover, when another process has taken over.
func takeOver(s *Server, c *call) error {
	defer c.ctx.Response.SetConnectionClose() // the next request is for the other process
	return act(s, c, s.options.TakeOver)
}

// Open returns how many connections to a server are open.
func Open(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
