package upgrade

import (
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"holdfast/internal/ending"
	"holdfast/internal/heldrecord"
	"holdfast/internal/hub"
	"holdfast/internal/subscribe"
)

// dialects are the wire forms; a request gets the first that matches. A new one is a file of its own and a line here.
var dialects = []func(*Keeper) dialect{
	newDeflatedWebSocketV1,
	newWebSocketV1,
	newDeflatedWebSocketRaw,
	newWebSocketRaw,
	newSSEV1,
	newSSE,
	newNDJSON,
	newLongPoll,
}

// dialect is what a held connection sends and how it reads its client. One value serves all connections of a keeper that
// have it; what a connection needs beside that is in held.state. Methods that take a held run on its loop.
type dialect interface {
	subscribe.Dialect

	// transport is its name in metrics, events, logs and lists of connections; dialects may share one.
	transport() string

	// begin sends the first bytes and the messages that the client has missed. The connection has joined its channels.
	begin(x *held, s *Spec, replay hub.Replay)

	// encoding is the form of the dialect's messages.
	encoding() *hub.Encoding

	// deliver sends messages, by growing ID. counted means that they count towards the client's send queue.
	deliver(x *held, batch []*hub.Message, counted bool)

	// gap renders a gap in the middle of a connection. canGap reports whether the dialect can do so; if not, a
	// connection that has missed messages is closed.
	gap(g hub.Gap) []byte
	canGap() bool

	// changed renders a change of channels and its gaps.
	changed(x *held, m channelChange, replay hub.Replay) []byte

	// read takes bytes of the client. It reports whether the connection stays open. resume continues with bytes that
	// read has left.
	read(x *held, p []byte) bool
	resume(x *held) bool

	// heartbeat is called when it is time for one. It reports whether the connection stays open.
	heartbeat(x *held) bool

	// asksAgain reports whether each request of a client gets one response, as with long polls: changes then apply to
	// its next request. conclude sends the response of a held one, with the messages so far.
	asksAgain() bool
	conclude(x *held)

	// drain ends the connection because Holdfast shuts down, and close because of c.
	drain(x *held)
	close(x *held, c ending.Closing)

	// sent is called when a connection with a response has sent all of it.
	sent(x *held)

	// release releases the state of a connection that ends.
	release(x *held)

	// record adds the state to a record, and reports false while it can't move. restore takes it from there, and reports
	// false if the connection can't go on. Neither sends anything.
	record(x *held, r *heldrecord.Record) bool
	restore(x *held, r *heldrecord.Record) bool
}

// form is a dialect in use by a keeper.
type form struct {
	dialect
	open atomic.Int64 // held connections
}

// render returns a message as the dialect has it.
func (f *form) render(m *hub.Message) []byte { return m.Rendered(f.encoding()) }

// forms are the dialects of a keeper, in the order of dialects.
type forms []*form

// newForms returns the forms of a keeper whose options are set.
func newForms(k *Keeper) (list forms) {
	for _, f := range dialects {
		if d := f(k); d != nil {
			list = append(list, &form{dialect: d})
		}
	}
	return list
}

// byName returns the dialect of a name; nil if there is none.
func (list forms) byName(name string) *form {
	for _, f := range list {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

// open returns the number of held connections.
func (list forms) open() (n int64) {
	for _, f := range list {
		n += f.open.Load()
	}
	return n
}

// requests returns the dialects as internal/subscribe needs them.
func (list forms) requests() (d []subscribe.Dialect) {
	for _, f := range list {
		d = append(d, f)
	}
	return d
}

// stream has the methods that all dialects but the long poll share.
type stream struct{}

func (stream) Postponed(_, _, _ string) (contentType, body string) { return "", "" }
func (stream) deliver(x *held, batch []*hub.Message, counted bool) { x.sendBatch(batch, counted) }
func (stream) canGap() bool                                        { return true }
func (stream) resume(*held) bool                                   { return true }
func (stream) asksAgain() bool                                     { return false }
func (stream) conclude(*held)                                      {}
func (stream) sent(*held)                                          {}
func (stream) release(*held)                                       {}

// readOnly has the methods of dialects whose client sends nothing after its request.
type readOnly struct{ stream }

func (readOnly) Status() int { return 200 }

func (readOnly) read(x *held, p []byte) bool {
	if len(p) > maxChatter {
		x.end(ending.UnexpectedData)
		return false
	}
	x.spendFrame()
	return !x.tooFast()
}

func (readOnly) Accept(ctx *fasthttp.RequestCtx, v *subscribe.Request) (int, string) {
	v.TakeOver(ctx)
	return 0, ""
}

// close ends the stream. The client reconnects, and gets the status then.
func (readOnly) close(x *held, c ending.Closing) { x.finish(nil, c.Why) }
