package takeover

import (
	"sync"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// moving is a connection whose record was sent.
type moving struct {
	c           *park.Conn
	layer, kind Kind // layer may be nil
}

// release gives the connection up: it is the new process's.
func (x moving) release() {
	x.kind.Moved(x.c)
	if x.layer != nil {
		x.layer.Moved(x.c)
	}
	park.Release(x.c)
}

// export appends the record of c, and returns false if it stays.
func (h *Handover) export(e *plainval.Encoder, c *park.Conn, scratch *[2][]byte) (x moving, ok bool) {
	r := record{Moving: park.MovingOf(c), layer: section{kind: -1}}
	x.c = c
	if c.Layer() != nil {
		if x.layer, r.layer, ok = exportBy(h.g.Layers, h.index.layers, c, &scratch[0]); !ok {
			return x, false
		}
	}
	if x.kind, r.kind, ok = exportBy(h.g.Kinds, h.index.kinds, c, &scratch[1]); ok {
		e.B = grow(e.B, recordRoom+len(r.layer.b)+len(r.kind.b))
		appendRecord(e, &r)
	}
	clear(scratch[0])
	clear(scratch[1])
	return x, ok
}

// recordRoom is more than a record has beside its sections.
const recordRoom = 128

// grow returns b with room for n more bytes. If it has to copy b, it erases what it leaves: there may be secrets in it.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	more := append(make([]byte, 0, 2*cap(b)+n), b...)
	clear(b)
	return more
}

// exportBy finds the kind that c is of. The record is in scratch.
func exportBy(kinds []Kind, index []int, c *park.Conn, scratch *[]byte) (Kind, section, bool) {
	for i, k := range kinds {
		if b, ok := k.Export(c, (*scratch)[:0]); ok {
			*scratch = b
			return k, section{index[i], k.Version(), b}, true
		}
	}
	return nil, section{}, false
}

// moveConns sends all connections that can move.
func (h *Handover) moveConns(frozen *park.Frozen, by time.Time) (list []moving, err error) {
	b := batch{h: h, by: by, records: plainval.Encoder{B: make([]byte, 0, 2*batchBytes)}}
	defer b.wipe()
	frozen.Clients(func(c *park.Conn) bool {
		x, ok := h.export(&b.records, c, &b.scratch)
		if !ok {
			h.Stayed++
			return true
		}
		list = append(list, x)
		b.descriptors = append(b.descriptors, park.Descriptor(c))
		if len(b.descriptors) == maxBatch || len(b.records.B) >= batchBytes {
			err = b.send()
		}
		return err == nil
	})
	if err == nil && len(b.descriptors) > 0 {
		err = b.send()
	}
	return list, err
}

// batch gathers records and descriptors for one message.
type batch struct {
	h           *Handover
	by          time.Time
	records     plainval.Encoder
	descriptors []int
	scratch     [2][]byte
}

func (b *batch) send() error {
	if _, err := (partWriter{b.h, b.by}).Write(b.records.B); err != nil {
		return err
	}
	var e plainval.Encoder
	e.Uint(uint64(len(b.descriptors)))
	err := b.h.call(msgConns, e.B, b.descriptors, b.by)
	clear(b.records.B) // the secrets of TLS
	b.records.B, b.descriptors = b.records.B[:0], b.descriptors[:0]
	return err
}

func (b *batch) wipe() {
	clear(b.records.B[:cap(b.records.B)])
	for _, s := range b.scratch {
		clear(s[:cap(s)])
	}
}

// Passer sends connections to the new process after the take-over: those whose request was in progress then.
type Passer struct {
	mu sync.Mutex // guards what follows
	h  *Handover  // nil: the new process has ended, or takes no more
	b  batch
}

// passTime is how long a connection or a note may wait for the new process to read, which may be busy. The new process is
// given up after it, so all together wait no longer.
const passTime = 5 * time.Second

// Passer returns what passes later connections. It is closed when the old process ends.
func (h *Handover) Passer() *Passer { return &Passer{h: h, b: batch{h: h}} }

// Pass sends c, on its loop, and reports whether the new process has it. If not, it stays as it is.
func (p *Passer) Pass(c *park.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.h == nil {
		return false
	}
	defer p.b.wipe()
	p.b.records.B = p.b.records.B[:0]
	x, ok := p.h.export(&p.b.records, c, &p.b.scratch)
	if !ok {
		return false
	}
	var e plainval.Encoder
	e.Uint(1)
	if !p.sendLocked(p.b.records.B, msgConns, e.B, park.Descriptor(c)) {
		return false
	}
	x.release()
	return true
}

// Tell sends what this process has learned and the new one has to know, to Taker.Note. It reports whether that was sent.
// Any goroutine may call it.
func (p *Passer) Tell(name string, data []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var e plainval.Encoder
	e.String(name)
	return p.h != nil && p.sendLocked(data, msgNote, e.B)
}

// sendLocked sends data, and then a message about it.
func (p *Passer) sendLocked(data []byte, kind byte, body []byte, descriptors ...int) bool {
	by := time.Now().Add(passTime)
	err := p.h.child.sendData(data, passTime)
	if err == nil {
		err = p.h.child.send(kind, body, descriptors, max(time.Until(by), time.Millisecond))
	}
	if err != nil { // a part may have been sent, so nothing else can follow
		p.h.g.Log.Error("the new process takes nothing more; what is left of this one ends without it", "error", err, "limit", passTime,
			"hint", "it has ended or hangs: its own log lines say why")
		p.closeLocked()
	}
	return err == nil
}

// Close ends the connection to the new process.
func (p *Passer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked()
}

func (p *Passer) closeLocked() {
	if p.h != nil {
		p.h.child.close()
		p.h = nil
	}
}
