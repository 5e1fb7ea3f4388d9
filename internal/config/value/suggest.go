package value

import "strings"

// LongestGuess bounds the work per unknown key; the longest key we have is 17 bytes.
const LongestGuess = 32

// DidYouMean is the end of a message about an unknown word: empty unless one of known is near.
func DidYouMean(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return `; did you mean "` + near + `"?`
	}
	return ""
}

// nearest returns the closest of known, or "" when none could be a slip of the fingers: more
// than a third of the word wrong is another word.
func nearest(word string, known []string) string {
	if len(word) > LongestGuess {
		return ""
	}
	word = strings.ToLower(word)
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, k := range known {
		if d := distance(word, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance counts insertions, deletions, substitutions and swaps of neighbours (optimal string
// alignment): a swap is one slip, so heartbaet is nearer to heartbeat than Levenshtein says.
func distance(a, b string) int {
	var before, above, row [LongestGuess + 1]int
	for j := range min(len(b), LongestGuess) + 1 {
		above[j] = j
	}
	b = b[:min(len(b), LongestGuess)]
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
