package upgrade

// DialectNames are the names of the dialects of a keeper that compresses nothing, in the order of registration.
func DialectNames() (names []string) {
	for _, f := range newForms(new(Keeper)) {
		names = append(names, f.Name())
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
