package headers

import (
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// fieldsOf parses lines of fields.
func fieldsOf(t testing.TB, lines string) (list []http1.Field) {
	t.Helper()
	for line := range strings.SplitSeq(lines, "\n") {
		f, fault := http1.ParseField([]byte(line))
		if line != "" && fault != "" {
			t.Fatalf("%s: %s", line, fault)
		}
		if line != "" {
			list = append(list, f)
		}
	}
	return list
}
