package channelurl

import (
	"fmt"
	"strings"

	"holdfast/internal/channel"
)

// Pattern is a pattern of channel names whose segments may have a name: {id} in place of *.
type Pattern struct {
	segments []segment
	stars    string // the same with * in place of {id}
}

// segment is one of a pattern.
type segment struct {
	text string // what it has to be; empty: any
	name string // of the placeholder; empty: none
}

// ParsePattern reads a pattern. {name} and * stand for one whole segment; there is no **.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	var stars []string
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ".") {
		name, ok := placeholder(part)
		switch {
		case ok && seen[name]:
			return Pattern{}, fmt.Errorf("has {%s} twice", name)
		case ok:
			seen[name] = true
			p.segments, stars = append(p.segments, segment{name: name}), append(stars, "*")
		case part == "*":
			p.segments, stars = append(p.segments, segment{}), append(stars, "*")
		case part == "**":
			return Pattern{}, fmt.Errorf("has **; want one {name} or * for each segment")
		case strings.ContainsAny(part, "{}"):
			return Pattern{}, fmt.Errorf("has a brace beside other characters; {name} stands for a whole segment, and its name has small letters, digits and _")
		default:
			p.segments, stars = append(p.segments, segment{text: part}), append(stars, part)
		}
	}
	p.stars = strings.Join(stars, ".")
	if err := channel.ValidRule(p.stars); err != nil {
		return Pattern{}, fmt.Errorf("is not valid: %w", err)
	}
	return p, nil
}

// placeholder returns the name of a text that is {name}.
func placeholder(text string) (name string, ok bool) {
	if len(text) < 3 || text[0] != '{' || text[len(text)-1] != '}' {
		return "", false
	}
	name = text[1 : len(text)-1]
	return name, strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Stars returns the pattern with * in place of each placeholder, as package channel knows it.
func (p *Pattern) Stars() string { return p.stars }

// Match reports whether the pattern matches a name that channel.ValidName accepts. It does not allocate.
func (p *Pattern) Match(name string) bool {
	for i := range p.segments {
		got, rest, more := strings.Cut(name, ".")
		if want := p.segments[i].text; want != "" && got != want || got == "" {
			return false
		}
		if last := i == len(p.segments)-1; last || !more {
			return last && !more
		}
		name = rest
	}
	return false
}

// index returns which segment has a name, -1 for none.
func (p *Pattern) index(name string) int {
	for i := range p.segments {
		if p.segments[i].name == name {
			return i
		}
	}
	return -1
}
