package upgrade

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"holdfast/internal/hub"
	"holdfast/internal/subscribe"
)

// DialectNames are the names of the dialects that a keeper offers which compresses nothing, in the order of registration.
func DialectNames() (names []string) {
	for _, f := range newForms(new(Keeper)) {
		if !strings.HasSuffix(f.Name(), ", deflated") {
			names = append(names, f.Name())
		}
	}
	return names
}

// RevocationSeq tells a test when something was revoked, although what is held has not yet been seen to.
func (k *Keeper) RevocationSeq() uint64 { return k.auth.Revocations.Seq() }

// BlockRenderers keeps all workers that render large messages busy until the channel is closed.
func (k *Keeper) BlockRenderers(endc <-chan struct{}) {
	for range len(k.o.Poller.Loops()) {
		k.renderers.Go(func() { <-endc })
	}
}

// BlockAuthorize fills the queue of those who wait to be authorized until endc is closed.
func (k *Keeper) BlockAuthorize(endc <-chan struct{}) {
	for k.auth.Go(func() { <-endc }) {
	}
}

// faulty is an event stream with an error: it panics when a message comes.
type faulty struct{ dialect }

func (faulty) Name() string                                    { return "faulty" }
func (faulty) Matches(r *subscribe.Choice) bool                { return string(r.Protocol) == "faulty" }
func (faulty) deliver(*held, []*hub.Message, bool)             { panic("faulty") }
func (faulty) Check(*fasthttp.RequestCtx, *Spec) (int, string) { return 0, "" }

// AddFaultyDialect lets a test's keeper have a dialect that panics when a message comes: protocol=faulty.
func AddFaultyDialect(t testing.TB) {
	registered := dialects
	t.Cleanup(func() { dialects = registered })
	dialects = append([]func(*Keeper) dialect{func(k *Keeper) dialect { return faulty{newSSE(k)} }}, registered...)
}
