package hub

import "holdfast/internal/messageid"

// ID identifies a message. IDs start at the clock's milliseconds << 20, so that they continue to grow after a restart.
type ID = messageid.ID

// ErrBadID is returned by ParseID for a text that String does not return.
var ErrBadID = messageid.ErrBad

// ParseID reads the text form of an id. The text of zero is refused too: no message has it.
func ParseID(s string) (ID, error) { return messageid.Parse(s) }
