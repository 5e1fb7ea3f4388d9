package channel

import (
	"iter"
	"slices"
)

// Without returns the names of a list that are not in another one, which is sorted.
func Without(list, sorted []string) (rest []string) {
	for _, name := range list {
		if _, ok := slices.BinarySearch(sorted, name); !ok {
			rest = append(rest, name)
		}
	}
	return rest
}

// SlowPolicy returns what becomes of messages of these channels for a client that is too slow: if their rules differ, it is
// disconnected. So is one that can't receive a gap, instead of getting one.
func (r *Rules) SlowPolicy(names iter.Seq[string], canGap bool) (policy Slow) {
	for name := range names {
		rule, ok := r.Rule(name)
		switch {
		case !ok, policy != "" && rule.Slow != policy, rule.Slow != LatestOnly && (rule.Slow != DropOldest || !canGap):
			return Disconnect
		}
		policy = rule.Slow
	}
	return policy
}
