// Package floor finds the floors of channels that do not exist: the newest message that may be lost of each. Names share
// entries, so that a floor may be too high, and never too low.
package floor

import "holdfast/internal/messageid"

// Slot returns a hash (FNV-1a) that is the same in every process with the same seed.
func Slot[T string | []byte](seed uint32, name T) uint32 {
	sum := uint32(2166136261) ^ seed
	for i := range len(name) {
		sum = (sum ^ uint32(name[i])) * 16777619
	}
	return sum ^ sum>>16
}

// Restore sets floors to those of another process. If it has none, or another number of them, everything until last may be
// lost.
func Restore(floors, from []messageid.ID, last messageid.ID) {
	if len(from) == len(floors) {
		copy(floors, from)
		return
	}
	for i := range floors {
		floors[i] = last
	}
}
