package connection

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatID returns the ID of a connection: an epoch, which is a process's own and has no hyphen, and which connection of it.
func FormatID(epoch string, slot int32, generation uint32) string {
	return fmt.Sprintf("%s-%x-%x", epoch, slot, generation)
}

// ParseID returns what an ID was made of. It reports false if it is not one of the epoch's.
func ParseID(epoch, id string) (slot int32, generation uint32, ok bool) {
	first, rest, _ := strings.Cut(id, "-")
	a, b, ok := strings.Cut(rest, "-")
	s, err := strconv.ParseInt(a, 16, 32)
	g, err2 := strconv.ParseUint(b, 16, 32)
	if first != epoch || !ok || err != nil || err2 != nil {
		return 0, 0, false
	}
	return int32(s), uint32(g), true
}
