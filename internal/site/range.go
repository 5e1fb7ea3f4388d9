package site

import "strings"

// span is what a Range asks for.
type span struct{ offset, length int64 }

type rangeKind uint8

const (
	wholeFile     rangeKind = iota // no Range, or one that may be ignored
	oneRange                       //
	unsatisfiable                  // 416
)

// parseRange reads a Range for a file of some size (RFC 9110 §14.1.2). Several ranges are answered with
// the whole, which §14.2 allows and which costs no more than an overlapping list of them might.
func parseRange(v string, size int64) (span, rangeKind) {
	if len(v) < 6 || !strings.EqualFold(v[:6], "bytes=") {
		return span{}, wholeFile
	}
	first, last, ok := strings.Cut(strings.Trim(v[6:], " \t"), "-")
	if !ok {
		return span{}, wholeFile
	}
	if first == "" {
		n, ok := number(last)
		switch {
		case !ok || size == 0 && n > 0:
			return span{}, wholeFile // the last bytes of nothing: 206 cannot say that
		case n == 0:
			return span{}, unsatisfiable
		}
		n = min(n, size)
		return span{size - n, n}, oneRange
	}
	from, ok := number(first)
	if !ok {
		return span{}, wholeFile
	}
	to := int64(1)<<62 - 1
	if last != "" {
		if to, ok = number(last); !ok || to < from {
			return span{}, wholeFile
		}
	}
	if from >= size {
		return span{}, unsatisfiable
	}
	return span{from, min(to, size-1) - from + 1}, oneRange
}

// number parses digits. Beyond any file's size it stops counting.
func number(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n < 1<<58 {
			n = n*10 + int64(s[i]-'0')
		}
	}
	return n, s != ""
}
