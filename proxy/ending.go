package proxy

import (
	"bytes"
	"time"

	"holdfast/internal/linger"
	"holdfast/internal/sendbuf"
)

// keepExchange is how much buffer an exchange may keep for its next use.
const keepExchange = 128 << 10

// clientGone ends the exchange because the client has disconnected.
func (x *exchange) clientGone() {
	if x.outlives() {
		return
	}
	x.p.stats.ClientGone.Add(1)
	if !x.answered {
		x.log.status = statusGone
	}
	x.endLog("client disconnected")
	end := x.client.conn.Close
	if x.client.begun { // who has ended only their side must not take what they have for the whole
		end = x.client.conn.Abort
	}
	x.release()
	end()
}

// outlives reports whether the exchange continues without its client. The request is complete here, and the app has a part of
// it: an app may process a part as if it were complete (PHP does), so it is sent the rest. Or subscribers wait for what it says.
func (x *exchange) outlives() bool {
	c := &x.client
	switch {
	case x.app.conn == nil || !x.app.connected || !x.upload.body.Done || x.upload.passedOn() && x.app.out == nil && !x.push.Outlives():
		return false
	case c.gone:
		return true
	}
	c.gone, c.keep = true, false
	c.conn.SetDeadline(0)
	sendbuf.Drop(&c.out)
	c.file.Close()
	c.file, c.fileTail = nil, nil
	x.count()
	x.later(func() { x.app.pumpUp(); x.app.pumpDown() }) // which may have waited for the client
	return true
}

// tooSlow ends the exchange because the client takes the response too slowly.
func (x *exchange) tooSlow(why error) {
	if !x.push.Outlives() || !x.outlives() {
		x.cut(why)
	}
}

// fail ends the exchange because of the upstream. A response that has begun is cut off, never completed.
func (x *exchange) fail(status int, err error) {
	x.p.stats.UpstreamErrors.Add(1)
	if x.app.server != nil && !x.answered {
		x.p.Servers.Failed(x.app.server, x.f.loop.Now())
	}
	x.log.trace.Log(x.p.o.Log).Error("upstream failed", "upstream", x.upstreamName(), "status", status, "error", err,
		"begun", x.client.begun, "reused", x.app.reused, "after", x.f.loop.Now().Sub(x.log.started).Round(time.Millisecond))
	switch {
	case x.client.silent && x.client.out == nil: // the client has all that it gets
		x.finish()
	case x.client.begun || x.client.out != nil || !x.failedOver():
		x.finishWith(status, err)
	}
}

// cut resets the client's connection: after an ordinary close, the response could look complete.
func (x *exchange) cut(why error) {
	x.p.stats.Cut.Add(1)
	c := x.client.conn
	if x.client.out != nil {
		sendbuf.Flush(c, &x.client.out)
	}
	x.endLog(why.Error())
	x.release()
	c.Abort()
}

// finishWith responds with a short page of Holdfast's own, or cuts off a response that has begun. why is for the log.
func (x *exchange) finishWith(status int, why error) { x.finishAfter(status, 0, why) }

// finishAfter is finishWith with a Retry-After.
func (x *exchange) finishAfter(status int, after time.Duration, why error) {
	x.finishFields(status, after, nil, why)
}

// finishFields is finishAfter with more header lines.
func (x *exchange) finishFields(status int, after time.Duration, fields []byte, why error) {
	if !x.client.begun {
		x.log.status = status
	}
	if x.client.begun || x.client.out != nil { // the latter has not even read an interim response
		x.cut(why)
		return
	}
	x.client.keep = x.client.keep && x.upload.body.Done
	answer := x.f.errorPage(x.route.Settings, status, after, string(x.client.appendConnection(nil)), !x.isHead, fields...)
	n, _ := x.client.conn.Write(answer)
	x.client.passed, x.client.heads = int64(len(answer)), int64(bytes.Index(answer, []byte("\r\n\r\n"))+4)
	x.endLog(why.Error())
	c, keep, early, touched, f := x.client.conn, x.client.keep, x.client.early, x.client.touched, x.f
	x.release()
	if n < len(answer) { // the client does not read: cut the connection, so that nothing else follows a part of this response
		f.p.stats.Cut.Add(1)
		c.Abort()
		return
	}
	if keep {
		f.resume(c, early, touched)
		return
	}
	linger.Close(c)
}

// finish gives the client's connection back after a complete response.
func (x *exchange) finish() {
	x.endLog("")
	c, f, keep, reqDone, early, touched := x.client.conn, x.f, x.client.keep, x.upload.body.Done, x.client.early, x.client.touched
	x.release()
	switch {
	case keep:
		f.resume(c, early, touched)
	case reqDone && len(early) == 0 && !touched:
		c.Close()
	default:
		linger.Close(c)
	}
}

// release releases everything but the client's connection.
func (x *exchange) release() {
	x.client.conn.SetDeadline(0)
	x.drop()
	x.source, x.app.source = nil, nil
	sendbuf.Drop(&x.client.out)
	x.upload.file, x.client.file, x.upload.tail, x.client.fileTail = nil, nil, nil, nil
	x.upload.gathered = x.upload.gathered[:0]
	x.coder = nil
	x.count()
	x.client.conn, x.accel.preserved, x.stored = nil, nil, nil
	if f := x.f; len(f.free) < 64 && cap(x.client.early)+cap(x.upload.gathered)+cap(x.app.head)+cap(x.app.partialHead)+cap(x.accel.head) <= keepExchange {
		f.free = append(f.free, x)
	}
}

// drop ends what the exchange has besides its connections, and its place among those in flight.
func (x *exchange) drop() {
	if x.source != nil {
		x.source.close()
	}
	x.upload.file.Close()
	x.client.file.Close()
	x.p.inFlight.Add(-1)
	x.accel.gate.Leave()
	x.coder.Close()
	x.closeFetch()
	x.page.Close()
}

// abandonUnless ends an exchange whose step has panicked: whole is false then. So no connection stays with an exchange
// that is never continued. The struct is not reused. serial tells whether it still serves the same request.
func (x *exchange) abandonUnless(whole *bool, serial uint64) {
	if *whole || x.serial != serial || x.client.conn == nil {
		return
	}
	if x.app.conn != nil {
		x.app.conn.Abort()
		x.app.conn = nil
	}
	x.client.conn.Abort()
	x.client.conn = nil
	x.app.releaseServer()
	x.app.dequeue()
	x.p.buffered.Add(int64(-x.ahead))
	x.p.stats.Cut.Add(1)
	x.drop()
}

// count updates Proxy.buffered.
func (x *exchange) count() {
	if n := x.client.out.Copied() + len(x.upload.gathered) + len(x.upload.tail) + len(x.client.fileTail) + x.coder.Pending(); n != x.ahead {
		x.p.buffered.Add(int64(n - x.ahead))
		x.ahead = n
	}
}
