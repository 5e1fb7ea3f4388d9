package http1

// HasOverlong reports whether s has overlong UTF-8 in it: an ASCII character in more than one byte. Encodings other
// than UTF-8 use these bytes for characters of their own.
func HasOverlong[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 0xc0 {
			if _, n := overlong(s[i:]); n > 0 {
				return true
			}
		}
	}
	return false
}

// AppendOverlong appends s with overlong UTF-8 decoded, as a lenient decoder reads it.
func AppendOverlong[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0xc0 {
			if short, n := overlong(s[i:]); n > 0 {
				c = short
				i += n - 1
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// overlong returns the ASCII character that s begins with in n bytes, of two to six; 0 bytes if it does not.
func overlong[T string | []byte](s T) (c byte, n int) {
	switch c := s[0]; {
	case c == 0xc0 || c == 0xc1:
		n = 2
	case c == 0xe0:
		n = 3
	case c == 0xf0:
		n = 4
	case c == 0xf8:
		n = 5
	case c == 0xfc:
		n = 6
	}
	if n == 0 || len(s) < n {
		return 0, 0
	}
	value := uint32(s[0] & 1) // of C0 and C1; all others have a zero there
	for i := 1; i < n; i++ {
		if s[i]&0xc0 != 0x80 {
			return 0, 0
		}
		value = value<<6 | uint32(s[i]&0x3f)
	}
	if value >= 0x80 {
		return 0, 0
	}
	return byte(value), n
}
