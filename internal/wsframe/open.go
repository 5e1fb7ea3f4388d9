package wsframe

import "github.com/gobwas/ws"

// Open is a message of which fragments have come.
type Open struct {
	Op       ws.OpCode
	Received int    // bytes of the fragments
	Body     []byte // the fragments, if the message is returned whole, or compressed
	Tail     []byte // of a text: an unfinished character at its end
	Deflated bool
}

// State returns what is unfinished: the bytes that were not read as frames, and the message whose fragments have come,
// if there is one. Both belong to the parser.
func (f *Parser) State() (unread []byte, open Open, is bool) {
	return f.buf[f.at:], Open{Op: f.op, Received: f.sum, Body: f.body, Tail: f.tail, Deflated: f.deflated}, f.op != 0
}

// Restore makes a new parser continue with what State has returned. It reports false if it can't: the message would be
// returned whole, and its fragments were not kept.
func (f *Parser) Restore(unread []byte, open Open) bool {
	f.buf = unread
	f.op, f.sum, f.body, f.tail, f.deflated = open.Op, open.Received, open.Body, open.Tail, open.Deflated
	return len(f.body) == f.sum || !f.Whole && !f.deflated
}
