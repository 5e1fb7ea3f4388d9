// Package headers reads the header fields by which apps and clients say what may be cached: as RFC 9111 and its relatives
// want them read, also where they are malformed. Fields that are dropped on the way do not count.
package headers

import "holdfast/internal/http1"

// Value returns the value of the first field of a name, in lower case, and how many there are.
func Value(fields []http1.Field, name string) (first []byte, n int) {
	for i := range fields {
		if f := &fields[i]; !f.Drop && len(f.Name) == len(name) && http1.EqualFold(f.Name, name) {
			if n == 0 {
				first = f.Value
			}
			n++
		}
	}
	return first, n
}

// Has reports whether there is a field of a name.
func Has(fields []http1.Field, name string) bool {
	_, n := Value(fields, name)
	return n > 0
}

// AppendList appends the values of the fields of a name as one list.
func AppendList(b []byte, fields []http1.Field, name string) []byte {
	n := 0
	for i := range fields {
		if f := &fields[i]; !f.Drop && len(f.Name) == len(name) && http1.EqualFold(f.Name, name) {
			if n++; n > 1 {
				b = append(b, ", "...)
			}
			b = append(b, f.Value...)
		}
	}
	return b
}
