package wsframe

import "github.com/gobwas/ws"

// DataOp is the opcode of a message's data.
func DataOp(binary bool) ws.OpCode {
	if binary {
		return ws.OpBinary
	}
	return ws.OpText
}
