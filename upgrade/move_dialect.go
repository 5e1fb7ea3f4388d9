package upgrade

import (
	"holdfast/internal/auth"
	"holdfast/internal/heldrecord"
	"holdfast/internal/receive"
)

// Streams keep nothing of their clients.
func (stream) record(*held, *heldrecord.Record) bool  { return true }
func (stream) restore(*held, *heldrecord.Record) bool { return true }

func (longPoll) record(x *held, r *heldrecord.Record) bool {
	r.Poll = pollOf(x)
	return true
}

func (d longPoll) restore(x *held, r *heldrecord.Record) bool {
	s := new(poll)
	if r.Poll != nil {
		s = r.Poll
	}
	s.Gzip = s.Gzip && d.k.o.Compress > 0
	x.state = s
	d.k.received.Give(-len(s.Rest))
	return true
}

func (d *webSocket) record(x *held, r *heldrecord.Record) bool {
	in, ok := x.state.(*inbound)
	if !ok {
		return true
	}
	r.Inbound = &heldrecord.Inbound{Login: (*heldrecord.Request)(in.login), FrameErrors: in.frameErrors, Queued: in.queued}
	if f := in.frames; f != nil {
		r.Inbound.Unread, r.Inbound.Open = f.Record()
		r.Inbound.Since = f.Since
	}
	return !in.asking && !in.inflating
}

func (d *webSocket) restore(x *held, r *heldrecord.Record) bool {
	if r.Inbound == nil {
		return true
	}
	in, resumes := inboundOf(x), true
	in.frameErrors, in.queued = r.Inbound.FrameErrors, r.Inbound.Queued
	if d.login {
		in.login = (*auth.Request)(r.Inbound.Login)
	}
	for _, m := range in.queued {
		in.bytes += len(m.Data)
	}
	d.k.received.Give(-in.bytes)
	if len(r.Inbound.Unread) > 0 || r.Inbound.Open != nil {
		f := receive.NewFrames(d.whole, d.deflated)
		resumes = f.Restore(r.Inbound.Unread, r.Inbound.Open)
		in.frames, f.Since = f, r.Inbound.Since
		d.k.received.Give(-f.Grown())
		f.Counted()
		d.watch(x, f, d.k.live().ReceiveTime)
	}
	in.dropIfIdle()
	return resumes
}
