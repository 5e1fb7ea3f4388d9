package channel

import "slices"

// Without returns the names of a list that are not in another one, which is sorted.
func Without(list, sorted []string) (rest []string) {
	for _, name := range list {
		if _, ok := slices.BinarySearch(sorted, name); !ok {
			rest = append(rest, name)
		}
	}
	return rest
}

// SlowPolicy returns what becomes of a channel's messages for a client that is too slow. One that can't receive a gap is
// disconnected instead.
func (r *Rules) SlowPolicy(name string, canGap bool) Slow {
	rule, ok := r.Rule(name)
	if !ok || rule.Slow == DropOldest && !canGap {
		return Disconnect
	}
	return rule.Slow
}
