package value

import (
	"errors"
	"strings"
	"time"
)

// WantDuration is what the notation is, for errors.
const WantDuration = "a duration such as 25s"

// Duration is a time.Duration that is written with its unit: a bare 25 has been read as Seconds,
// milliseconds and minutes by one program or another. Where 0 is in a key's range it means off.
type Duration time.Duration

// Seconds returns a duration of n seconds.
func Seconds(n int) Duration { return Duration(n) * Duration(time.Second) }

// UnmarshalText reads Go's notation; yaml calls it for a scalar.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	parsed, err := time.ParseDuration(s)
	switch {
	case err != nil && s != "" && strings.Trim(s, "0123456789") == "":
		return errors.New(Show(s) + " has no unit; want " + WantDuration)
	case err != nil:
		return errors.New(Show(s) + " is not a duration; want " + WantDuration)
	case parsed < 0:
		return errors.New(Show(s) + " is negative; want " + WantDuration)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the notation of the file: 10m, where time.Duration has 10m0s.
func (d Duration) String() string {
	if d == 0 {
		return "0"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
