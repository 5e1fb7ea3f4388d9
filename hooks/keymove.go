package hooks

import (
	"crypto/sha256"

	"holdfast/internal/hub"
	"holdfast/internal/plainval"
)

// KeysVersion is the version of what ExportKeys appends.
const KeysVersion = 1

// ExportKeys appends the idempotency keys with their responses, for another process.
func ExportKeys(s *Server, b []byte) []byte {
	a := s.idempotency
	a.mu.Lock()
	defer a.mu.Unlock()
	e := plainval.Encoder{B: b}
	e.Uint(uint64(len(a.byAge)))
	for _, g := range a.byAge {
		e.String(g.key)
		e.Bytes(g.sum[:])
		e.Time(g.at)
		e.Uint(uint64(len(g.receipts)))
		for _, r := range g.receipts {
			e.Uint(uint64(r.ID))
			e.Uint(uint64(r.Subscribers))
			e.Bool(r.Kept)
		}
	}
	return e.B
}

// ImportKeys adds what ExportKeys has appended, before Serve.
func ImportKeys(s *Server, b []byte) error {
	d := plainval.NewDecoder(b)
	var list []*storedReply
	for range d.Count() {
		g := &storedReply{keyedRequest: keyedRequest{key: d.String()}}
		sum := d.Bytes()
		if d.Err() == nil && (len(sum) != sha256.Size || len(g.key) < 2) {
			d.Fail("no key")
		}
		copy(g.sum[:], sum)
		g.at = d.Time()
		for range d.Count() {
			g.receipts = append(g.receipts, hub.Receipt{ID: hub.ID(d.Uint()), Subscribers: int(d.Uint32()), Kept: d.Bool()})
		}
		if d.Err() == nil && g.key[0] == 'm' && len(g.receipts) != 1 {
			d.Fail("%d responses for one message", len(g.receipts))
		}
		list = append(list, g)
	}
	if err := d.End(); err != nil {
		return err
	}
	a := s.idempotency
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range list {
		if a.byKey[g.key] == nil {
			a.storeLocked(g)
		}
	}
	a.expireLocked()
	return nil
}
