// Package value has the values of config.yaml that are more than a word or a number: durations, sizes, addresses and origins, each
// read from its notation.
package value

import (
	"strconv"
	"strings"
	"unicode"
)

// Show quotes text from the file for a message: a terminal or a log must not meet its control
// bytes, nor all of a value that was pasted into the wrong place.
func Show(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.QuoteToASCII(text[:most]) + "…"
	}
	return strconv.QuoteToASCII(text)
}

func HasControl(s string) bool {
	return strings.ContainsFunc(s, unicode.IsControl)
}
