package load

// A message carries its number as '@' and eight hexadecimal digits. The sign is in no head, id, heartbeat
// or framing of any peer, so a message is found in every wire format in the same way, even in pieces.

const digits = "0123456789abcdef"

// Payload is a message of size bytes (at least 9) with this number.
func Payload(number uint32, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'x'
	}
	b[0] = '@'
	for i := range 8 {
		b[1+i] = digits[number>>(28-4*i)&0xf]
	}
	return b
}

// Markers finds messages in a stream.
type Markers struct {
	number uint32
	seen   int8 // 0: outside; 1–8: '@' and seen-1 digits
}

// Feed calls found for each message that is recognised in data.
func (m *Markers) Feed(data []byte, found func(number uint32)) {
	for i := 0; i < len(data); i++ {
		b := data[i]
		switch {
		case b == '@':
			m.seen, m.number = 1, 0
		case m.seen == 0:
			// most of what comes; nothing
		case b >= '0' && b <= '9':
			m.digit(uint32(b-'0'), found)
		case b >= 'a' && b <= 'f':
			m.digit(uint32(b-'a'+10), found)
		default:
			m.seen = 0
		}
	}
}

func (m *Markers) digit(d uint32, found func(uint32)) {
	m.number = m.number<<4 | d
	m.seen++
	if m.seen == 9 {
		m.seen = 0
		found(m.number)
	}
}
