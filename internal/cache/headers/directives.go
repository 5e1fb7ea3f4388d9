package headers

import (
	"bytes"

	"holdfast/internal/http1"
)

// MaxSeconds is what longer times count as (RFC 9111 §1.2.2).
const MaxSeconds = 1 << 31

// Absent is a time that is not given.
const Absent = -1

// Directives are those of Cache-Control, of a request or a response. Times are in seconds, Absent or 0 to MaxSeconds.
// Names are read generously where they forbid something, also between semicolons and spaces; values are read strictly: one
// that can't be read, or that comes twice and differs, is 0 (RFC 9111 §4.2.1).
type Directives struct {
	NoStore, NoCache, Private, Public               bool
	MustRevalidate, ProxyRevalidate, MustUnderstand bool
	OnlyIfCached                                    bool

	MaxAge, SharedMaxAge     int64
	StaleUpdating, StaleFail int64 // stale-while-revalidate, stale-if-error
	MinFresh                 int64

	Hidden    [][]byte // names of fields that no-cache lists; NoCache is not set for these
	Malformed bool     // a quoted string does not end
}

// noDirectives is what is said without Cache-Control.
var noDirectives = Directives{
	MaxAge: Absent, SharedMaxAge: Absent, StaleUpdating: Absent, StaleFail: Absent, MinFresh: Absent,
}

// ParseDirectives reads the fields of Cache-Control. They point into the fields' values.
func ParseDirectives(fields []http1.Field) Directives {
	d := noDirectives
	for i := range fields {
		if f := &fields[i]; !f.Drop && len(f.Name) == 13 && http1.EqualFold(f.Name, "cache-control") {
			d.parse(f.Value)
		}
	}
	return d
}

func isSeparator(c byte) bool { return c == ',' || c == ';' || c == ' ' || c == '\t' }

// parse adds the directives of a line.
func (d *Directives) parse(line []byte) {
	for len(line) > 0 {
		if isSeparator(line[0]) {
			line = line[1:]
			continue
		}
		n := 0
		for n < len(line) && line[n] != '=' && !isSeparator(line[n]) {
			n++
		}
		name := line[:n]
		if line = line[n:]; len(line) == 0 || line[0] != '=' {
			d.add(name, nil, false)
			continue
		}
		if line = line[1:]; len(line) > 0 && line[0] == '"' {
			end := quotedEnd(line)
			if end < 0 {
				d.Malformed = true
				return
			}
			d.add(name, line[1:end], true)
			line = line[end+1:]
			for len(line) > 0 && !isSeparator(line[0]) { // nothing may follow
				line = line[1:]
				d.Malformed = true
			}
			continue
		}
		for n = 0; n < len(line) && !isSeparator(line[n]); n++ {
		}
		d.add(name, line[:n], true)
		line = line[n:]
	}
}

// quotedEnd returns where the quoted string at the beginning of b ends: the place of the closing quote, or -1.
func quotedEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// add takes one directive. valued is whether it has a value.
func (d *Directives) add(name, v []byte, valued bool) {
	switch len(name) {
	case 6:
		d.Public = d.Public || !valued && http1.EqualFold(name, "public")
	case 7:
		switch {
		case http1.EqualFold(name, "max-age"):
			setSeconds(&d.MaxAge, v)
		case http1.EqualFold(name, "private"): // of some fields only, it is taken for all
			d.Private = true
		}
	case 8:
		switch {
		case http1.EqualFold(name, "no-store"):
			d.NoStore = true
		case http1.EqualFold(name, "s-maxage"):
			setSeconds(&d.SharedMaxAge, v)
		case http1.EqualFold(name, "no-cache"):
			d.noCache(v)
		}
	case 9:
		if http1.EqualFold(name, "min-fresh") {
			setSeconds(&d.MinFresh, v)
		}
	case 14:
		switch {
		case http1.EqualFold(name, "stale-if-error"):
			setSeconds(&d.StaleFail, v)
		case http1.EqualFold(name, "only-if-cached"):
			d.OnlyIfCached = true
		}
	case 15:
		switch {
		case http1.EqualFold(name, "must-revalidate"):
			d.MustRevalidate = true
		case http1.EqualFold(name, "must-understand"):
			d.MustUnderstand = !valued
		}
	case 16:
		d.ProxyRevalidate = d.ProxyRevalidate || http1.EqualFold(name, "proxy-revalidate")
	case 22:
		if http1.EqualFold(name, "stale-while-revalidate") {
			setSeconds(&d.StaleUpdating, v)
		}
	}
}

// noCache takes no-cache. With names of fields, only those are not to be used again (RFC 9111 §5.2.2.4).
func (d *Directives) noCache(v []byte) {
	n := len(d.Hidden)
	for name := range bytes.SplitSeq(v, []byte(",")) {
		name = http1.TrimOWS(name)
		for _, c := range name {
			if !http1.IsToken[c] {
				d.NoCache = true
				return
			}
		}
		if len(name) > 0 {
			d.Hidden = append(d.Hidden, name)
		}
	}
	d.NoCache = d.NoCache || len(d.Hidden) == n
}

// setSeconds sets a time that a directive gives.
func setSeconds(to *int64, v []byte) {
	n, ok := parseSeconds(v)
	if !ok || *to != Absent && *to != n {
		n = 0
	}
	*to = n
}

// parseSeconds parses delta-seconds (RFC 9111 §1.2.2): digits only. What is larger counts as MaxSeconds.
func parseSeconds(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if !http1.IsDigit(c) {
			return 0, false
		}
		if n = n*10 + int64(c-'0'); n > MaxSeconds {
			n = MaxSeconds
		}
	}
	return n, len(b) > 0
}
