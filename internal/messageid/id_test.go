package messageid

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestIDText(t *testing.T) {
	ids := []ID{1, 35, 36, 1 << 20, 1795000000000 << 20, math.MaxUint64 - 1, math.MaxUint64}
	for i, id := range ids {
		text := id.String()
		if len(text) != idLen {
			t.Errorf("%d: text %q has %d characters", id, text, len(text))
		}
		if got, err := Parse(text); err != nil || got != id {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, err, id)
		}
		if i > 0 && ids[i-1].String() >= text {
			t.Errorf("texts of %d and %d do not sort as the ids do", ids[i-1], id)
		}
	}
	if got := ID(math.MaxUint64).String(); got != "3w5e11264sgsf" {
		t.Errorf("largest id is %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "0", "3w5e11264sgs", "3w5e11264sgsf0", // length
		"3w5e11264sgsg", "zzzzzzzzzzzzz", "4000000000000", // larger than 64 bits
		"3W5E11264SGSF", "3w5e11264sgs ", "-w5e11264sgsf", "3w5e11264sgs\x00", "ééééééx", // digits
		"0000000000000", // no message has it
		strings.Repeat("1", 1<<16),
	} {
		if id, err := Parse(text); !errors.Is(err, ErrBad) {
			t.Errorf("Parse(%.20q) = %d, %v; want ErrBad", text, id, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("3w5e11264sgsf")
	f.Add("0000000000001")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := Parse(text); err == nil && id.String() != text {
			t.Errorf("%q and %q are the same id", text, id)
		}
	})
}
