package hooks

import (
	"errors"
	"fmt"

	"holdfast/internal/apigate"
	"holdfast/internal/page"
)

var errMoved = errors.New("another process has taken over, and does not respond")

// Gate returns what has the server's requests wait while another process takes over.
func Gate(s *Server) *apigate.Gate { return &s.gate }

// pass runs an admitted request, or passes it on.
func pass(s *Server, c *call, do func(*Server, *call) error) error {
	var relay *apigate.Relay
	var err error
	switch c.path {
	case page.Prefix + "live": // of this process
	case "/healthz", "/readyz", "/metrics", "/takeover": // these don't change what moves
		relay = s.gate.Relay()
	default:
		if relay, err = s.gate.Enter(); err != nil {
			return err
		}
		if relay == nil {
			defer s.gate.Leave()
		}
	}
	if relay == nil {
		return do(s, c)
	}
	c.ctx.Request.SetConnectionClose() // no connection to the other process stays
	if err := relay.Do(&c.ctx.Request, &c.ctx.Response); err != nil {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	c.ctx.Response.SetConnectionClose() // the next request is for the other process
	return nil
}
