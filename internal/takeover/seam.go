package takeover

import (
	"io"

	"holdfast/internal/park"
)

// Part is state that moves as a whole.
type Part interface {
	// Name returns a name that no other part has, and that never changes.
	Name() string

	// Version returns the version of what Export writes. Import reads all versions up to it.
	Version() uint16

	// Freeze holds back what would change the state, such as a publish, while loops still run. After an error, Thaw
	// follows.
	Freeze() error

	// Export writes the state. Every loop is frozen.
	Export(w io.Writer) error

	// Import takes the state over, in the new process, before any connection is adopted and any loop runs. It reads all
	// of r.
	Import(version uint16, r io.Reader) error

	// Thaw continues. moved means that the state belongs to the new process now, which gets what was held back.
	Thaw(moved bool)
}

// Kind is a kind of connection that moves.
type Kind interface {
	// Name returns a name that no other kind has, and that never changes.
	Name() string

	// Version returns the version of the records. Adopt reads all versions up to it.
	Version() uint16

	// Export appends the record of c to b and returns true, if c is of the kind and can move. It changes nothing. The
	// loops are frozen.
	Export(c *park.Conn, b []byte) ([]byte, bool)

	// Adopt makes the handler of c from its record, in the new process, on the connection's loop or before that runs.
	// Address, deadline and layer of c are those of the old process. The handler gets Writable, and Readable if anything
	// is unread, as its first event. After an error, nothing moves.
	Adopt(c *park.Conn, version uint16, record []byte) error

	// Moved forgets c, which belongs to the new process now. It tells nobody that c has ended, and does not close it.
	Moved(c *park.Conn)
}
