package upgrade

import (
	"sync/atomic"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"holdfast/internal/hub"
	"holdfast/internal/subscribe"
)

// dialects are the wire forms, in the order in which a request is compared with them. A new one is a file of its own and
// a line here.
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

	// begin sends the first bytes and what the client has missed. The connection has joined its channels.
	begin(x *held, s *Spec, replay hub.Replay)

	// encoding is the form of the dialect's messages.
	encoding() *hub.Encoding

	// deliver sends messages, by growing ID. counted says that they count as what a slow client has waiting.
	deliver(x *held, batch []*hub.Message, counted bool)

	// gap renders a gap in the middle of a connection. canGap reports whether the dialect can; one that can't ends a
	// connection that has missed something.
	gap(g hub.Gap) []byte
	canGap() bool

	// changed renders a change of channels and the gaps that it brings.
	changed(x *held, m channelChange, replay hub.Replay) []byte

	// read takes bytes of the client. It reports whether the connection goes on. resume goes on with bytes that it left.
	read(x *held, p []byte) bool
	resume(x *held) bool

	// heartbeat is called when it is time for one. It reports whether the connection goes on.
	heartbeat(x *held) bool

	// asksAgain reports whether each request of a client is answered once, so that what changes for it is for its next
	// request. conclude then answers what is held, with what there is.
	asksAgain() bool
	conclude(x *held)

	// drain ends the connection because Holdfast shuts down, and close because of c.
	drain(x *held)
	close(x *held, c closing)

	// sent is called when an answered connection has sent all.
	sent(x *held)

	// release lets go of the state of a connection that ends.
	release(x *held)
}

// closing is why a connection is closed, in the forms that dialects have for it.
type closing struct {
	status int    // of HTTP; a WebSocket's code follows from it
	text   string // for people

	code     ws.StatusCode // of a WebSocket, with codeText, instead of what follows from status; 0: none
	codeText string

	why closeReason
}

// form is a dialect of a keeper.
type form struct {
	dialect
	open atomic.Int64 // connections that are held
}

// render returns a message as the dialect has it.
func (f *form) render(m *hub.Message) []byte { return m.Rendered(f.encoding()) }

// together returns the first messages of a batch as they are sent, in buf if they are several, and how many they are: one
// if they are to be queued.
func (f *form) together(batch []*hub.Message, buf []byte, queued bool) (b []byte, n int) {
	b = f.render(batch[0])
	if len(batch) == 1 || queued {
		return b, 1
	}
	buf = buf[:0]
	for n < len(batch) {
		r := f.render(batch[n])
		if len(buf)+len(r) > cap(buf) {
			break
		}
		buf = append(buf, r...)
		n++
	}
	if n < 2 {
		return b, 1
	}
	return buf, n
}

// forms are the dialects of a keeper, in the order of registration.
type forms []*form

// newForms returns the forms of a keeper, which has its options.
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

// open returns how many connections are held.
func (list forms) open() (n int64) {
	for _, f := range list {
		n += f.open.Load()
	}
	return n
}

// requests returns the part of the dialects that requests need.
func (list forms) requests() (d []subscribe.Dialect) {
	for _, f := range list {
		d = append(d, f)
	}
	return d
}

// stream has what dialects share that send message after message.
type stream struct{}

func (stream) Postponed(_, _, _ string) (contentType, body string) { return "", "" }
func (stream) deliver(x *held, batch []*hub.Message, counted bool) { x.sendBatch(batch, counted) }
func (stream) canGap() bool                                        { return true }
func (stream) resume(*held) bool                                   { return true }
func (stream) asksAgain() bool                                     { return false }
func (stream) conclude(*held)                                      {}
func (stream) sent(*held)                                          {}
func (stream) release(*held)                                       {}

// readOnly has what dialects share whose client has nothing to send after its request.
type readOnly struct{ stream }

func (readOnly) Status() int { return 200 }

func (readOnly) read(x *held, p []byte) bool {
	if len(p) > maxChatter {
		x.end(unexpectedData)
		return false
	}
	x.spendFrame()
	return !x.tooFast()
}

func (readOnly) Accept(ctx *fasthttp.RequestCtx, v *subscribe.Request) (int, string) {
	v.TakeOver(ctx)
	return 0, ""
}

// close ends the stream. Its client comes back, and is told then.
func (readOnly) close(x *held, c closing) { x.finish(nil, c.why) }
