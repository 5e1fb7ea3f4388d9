package config

import (
	"errors"
	"strings"
	"time"
)

const wantDuration = "a duration such as 25s"

// Duration is a time.Duration that is written with its unit: a bare 25 has been read as seconds,
// milliseconds and minutes by one program or another. Where 0 is in a key's range it means off.
type Duration time.Duration

func seconds(n int) Duration { return Duration(n) * Duration(time.Second) }

// UnmarshalText reads Go's notation; yaml calls it for a scalar.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	parsed, err := time.ParseDuration(s)
	switch {
	case err != nil && s != "" && strings.Trim(s, "0123456789") == "":
		return errors.New(show(s) + " has no unit; want " + wantDuration)
	case err != nil:
		return errors.New(show(s) + " is not a duration; want " + wantDuration)
	case parsed < 0:
		return errors.New(show(s) + " is negative; want " + wantDuration)
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
