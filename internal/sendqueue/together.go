package sendqueue

import "holdfast/internal/hub"

// Together returns the first messages of a batch as rendered by e, in buf if they are several or no other subscriber gets
// them, and their number; one: the first only, which stays as it is.
func Together(batch []*hub.Message, e *hub.Encoding, buf []byte, one bool) (b []byte, n int) {
	if one {
		return batch[0].Rendered(e), 1
	}
	buf = buf[:0]
	for n < len(batch) {
		b = batch[n].RenderedIn(buf[len(buf):], e)
		switch {
		case len(batch) == 1, n == 0 && len(b) > cap(buf):
			return b, 1
		case len(buf)+len(b) > cap(buf):
			return buf, n
		}
		buf = append(buf, b...)
		n++
	}
	return buf, n
}
