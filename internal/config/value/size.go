package value

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// WantSize is what the notation is, for errors.
const WantSize = "a size such as 64KB"

// Size is a number of bytes.
type Size int64

// The units are powers of 1024 under either name, as nginx's k and m are.
const (
	KB Size = 1 << 10
	MB Size = 1 << 20
	GB Size = 1 << 30
	TB Size = 1 << 40
)

// sizeUnits has the largest first, as String needs them.
var sizeUnits = []struct {
	bytes Size
	names [3]string // the first is the one String writes
}{
	{TB, [3]string{"TB", "TIB", "T"}},
	{GB, [3]string{"GB", "GIB", "G"}},
	{MB, [3]string{"MB", "MIB", "M"}},
	{KB, [3]string{"KB", "KIB", "K"}},
	{1, [3]string{"", "B", "B"}},
}

// UnmarshalText reads 64KB, 64KiB, 64K or 65536, in either case; yaml calls it for a scalar.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.ToUpper(string(text)[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 63)
	if errors.Is(err, strconv.ErrRange) {
		return errors.New(Show(string(text)) + " is too large; want " + WantSize)
	}
	for _, u := range sizeUnits {
		if err != nil || unit != u.names[0] && unit != u.names[1] && unit != u.names[2] {
			continue
		}
		if n > math.MaxInt64/uint64(u.bytes) {
			return errors.New(Show(string(text)) + " is too large; want " + WantSize)
		}
		*s = Size(n) * u.bytes
		return nil
	}
	return errors.New(Show(string(text)) + " is not a size; want " + WantSize)
}

// MarshalText is the inverse of UnmarshalText.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String uses the largest unit that loses nothing: 64KB, but 65537.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.names[0]
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
