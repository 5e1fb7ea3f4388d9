package auth

import (
	"crypto/sha256"
	"time"

	"holdfast/internal/plainval"
)

// CacheVersion is the version of what Cache.Export appends.
const CacheVersion = 1

// Export appends the responses that are cached, for the cache of another process whose credentials are the same. A nil
// Cache has none.
func (c *Cache) Export(b []byte) []byte {
	e := plainval.Encoder{B: b}
	if c == nil {
		e.Bool(false)
		return e.B
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Bool(true)
	e.Bytes(c.salt[:])
	e.Uint(uint64(c.order.Len()))
	for place := c.order.Front(); place != nil; place = place.Next() {
		v := place.Value.(*entry)
		e.Bytes(v.key[:])
		e.Uint(v.credential)
		e.Strings(v.channels)
		e.Strings(v.result.Channels)
		e.String(v.result.User)
		e.Duration(v.result.Expires)
		e.Time(v.expires)
		e.Time(v.until)
	}
	return e.B
}

// Import adds what Export has appended to a cache that is new. A nil Cache, and one that keeps nothing as long, drop it.
func (c *Cache) Import(b []byte) error {
	d := plainval.NewDecoder(b)
	if !d.Bool() {
		return d.End()
	}
	salt := d.Bytes()
	if d.Err() == nil && len(salt) != sha256.Size {
		d.Fail("a salt of %d bytes", len(salt))
	}
	var list []*entry
	for range d.Count() {
		v := &entry{donec: closedc}
		key := d.Bytes()
		if d.Err() == nil && len(key) != len(v.key) {
			d.Fail("a key of %d bytes", len(key))
		}
		copy(v.key[:], key)
		v.credential, v.channels = d.Uint(), d.Strings()
		v.result = Result{Allowed: true, Channels: d.Strings(), User: d.String(), Expires: d.Duration()}
		v.expires, v.until = d.Time(), d.Time()
		list = append(list, v)
	}
	if err := d.End(); err != nil || c == nil {
		return err
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.salt[:], salt)
	for _, v := range list {
		if latest := now.Add(c.age); v.until.After(latest) {
			v.until = latest
		}
		of := c.entries[v.credential]
		if of == nil {
			of = map[[sha256.Size]byte]*entry{}
			c.entries[v.credential] = of
		}
		if of[v.key] == nil {
			of[v.key] = v
			c.placeLocked(v)
		}
	}
	c.makeRoom(now)
	return nil
}

// closedc is the donec of entries that have their response from the beginning.
var closedc = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
