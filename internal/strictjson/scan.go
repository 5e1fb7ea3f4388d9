package strictjson

// These functions read valid JSON without garbage (RFC 8259). What they don't accept is read again by encoding/json,
// which says what is wrong.

// skipSpace returns the index of the first byte from i on that is no space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// scan returns the end of the value that begins at b[i]; -1 if none does, or it is nested more than depth deep.
func scan(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return scanString(b, i)
	case '{', '[':
		return scanList(b, i, depth)
	case 't':
		return scanWord(b, i, "true")
	case 'f':
		return scanWord(b, i, "false")
	case 'n':
		return scanWord(b, i, "null")
	}
	return scanNumber(b, i)
}

func scanWord(b []byte, i int, word string) int {
	if end := i + len(word); end <= len(b) && string(b[i:end]) == word {
		return end
	}
	return -1
}

// scanString is scan for a string.
func scanString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i++; i == len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i == len(b) || !isHex(b[i]) {
						return -1
					}
				}
			default:
				return -1
			}
		}
	}
	return -1
}

// hasHalf reports whether a valid string has half of a surrogate pair.
func hasHalf(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' {
			continue
		}
		switch surrogate(raw[i+1:]) {
		case low:
			return true
		case high:
			if i += 4; raw[i+1] != '\\' || raw[i+2] != 'u' || surrogate(raw[i+3:]) != low {
				return true
			}
			i += 6
		}
	}
	return false
}

const (
	none = iota
	high
	low
)

// surrogate returns which half of a pair four hex digits are.
func surrogate(digits []byte) int {
	switch c := digits[1] | 0x20; {
	case digits[0]|0x20 != 'd' || c < '8':
		return none
	case c < 'c':
		return high
	}
	return low
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// scanNumber is scan for a number.
func scanNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	begin := i
	if i = digits(b, i); i == begin || b[begin] == '0' && i > begin+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		begin = i + 1
		if i = digits(b, begin); i == begin {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		begin = i
		if i = digits(b, begin); i == begin {
			return -1
		}
	}
	return i
}

// digits returns the index of the first byte from i on that is no digit.
func digits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// scanList is scan for an object or an array.
func scanList(b []byte, i, depth int) int {
	if depth == 0 {
		return -1
	}
	object, end := b[i] == '{', byte(']')
	if object {
		end = '}'
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == end {
		return i + 1
	}
	for i < len(b) {
		if object {
			if i = scanKey(b, i); i < 0 {
				return -1
			}
		}
		if i = scan(b, i, depth-1); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i == len(b) {
			return -1
		}
		switch b[i] {
		case end:
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return -1
		}
	}
	return -1
}

// scanKey returns the beginning of the value whose key begins at b[i], or -1.
func scanKey(b []byte, i int) int {
	if b[i] != '"' {
		return -1
	}
	if i = scanString(b, i); i < 0 {
		return -1
	}
	if i = skipSpace(b, i); i == len(b) || b[i] != ':' {
		return -1
	}
	return skipSpace(b, i+1)
}

// scanLines appends the values of a body that is valid JSON, each on lines of its own; otherwise ok is false.
func scanLines(values []Value, body []byte, i int) (_ []Value, ok bool) {
	for {
		end := i
		if i = skipSpace(body, i); i == len(body) {
			return values, true
		}
		if len(values) > 0 && !hasLineEnd(body[end:i]) {
			return values, false
		}
		if end = scan(body, i, MaxDepth); end < 0 {
			return values, false
		}
		values = append(values, Value{body[i:end:end], body, i})
		i = end
	}
}

func hasLineEnd(b []byte) bool {
	for _, c := range b {
		if c == '\n' {
			return true
		}
	}
	return false
}
