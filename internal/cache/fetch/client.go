package fetch

import (
	"slices"

	"holdfast/internal/http1"
)

// Client returns a copy of the client's own head, if the one that is sent has none of the conditions in it; otherwise nil.
func (f *Fetch) Client() *http1.Head {
	if f == nil || !f.strips {
		return nil
	}
	h := f.head
	h.Fields = slices.Clone(h.Fields)
	return &h
}
