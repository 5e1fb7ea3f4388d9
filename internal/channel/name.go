// Package channel has the names of channels, the patterns that stand for many of them, and the rules that say what holds
// for a channel. A name is segments that dots separate:
//
//	orders.42   a name; as a pattern, the channel of that name only
//	orders.*    * is exactly one segment: orders.42, but neither orders nor orders.42.items
//	orders.**   ** is one or more, and comes last: orders.42 and orders.42.items, but not orders
//	*.news      de.news, but not news; only in rules and tokens, clients have * in the last segment
//	user.{user} one segment, the user's name escaped as in a URL; only in rules
//	**          every channel
//
// [Rules] are tried in order, and the first that matches decides.
package channel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrName is what all errors of ValidName and ValidSubscription are.
var ErrName = errors.New("bad channel name")

const (
	maxName   = 255        // bytes
	nameMarks = "_-:@/=+~" // and the dot between segments
)

// ValidName returns nil for 1 to 255 bytes of A-Za-z0-9 and _-:@/=+~, and %XX for any other that is no control byte, in
// segments that dots separate, none of them empty. The error may be sent to the client or the app: it quotes no byte
// that a terminal would act on.
func ValidName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%w: %d bytes; want at most %d", ErrName, len(name), maxName)
	}
	for i := range len(name) {
		if c := name[i]; c != '.' && !isNameByte(c) && !isEscape(name[i:]) {
			return fmt.Errorf("%w: %s at byte %d; want letters, digits and any of .%s", ErrName, showByte(c), i+1, nameMarks)
		}
	}
	switch {
	case name[0] == '.':
		return fmt.Errorf("%w: it begins with a dot", ErrName)
	case name[len(name)-1] == '.':
		return fmt.Errorf("%w: it ends with a dot", ErrName)
	}
	if i := strings.Index(name, ".."); i >= 0 {
		return fmt.Errorf("%w: an empty segment at byte %d", ErrName, i+2)
	}
	return nil
}

// ValidSubscription is ValidName for what a client may subscribe to, which may also be a pattern: * as the last segment, or
// ** in place of one or more.
func ValidSubscription(name string) error {
	first := strings.TrimSuffix(strings.TrimSuffix(name, "*"), "*")
	switch {
	case first == name:
		return ValidName(name)
	case first == "":
		return nil
	case len(name) > maxName:
		return fmt.Errorf("%w: %d bytes; want at most %d", ErrName, len(name), maxName)
	case !strings.HasSuffix(first, "."):
		return fmt.Errorf("%w: * stands for the whole last segment, and ** for one or more", ErrName)
	}
	return ValidName(first[:len(first)-1])
}

// IsPattern reports whether a name that ValidSubscription accepts is a pattern.
func IsPattern(name string) bool { return strings.HasSuffix(name, "*") }

// isEscape reports whether text begins with a byte that is escaped as in a URL, in capital letters. Control bytes have
// no escape: no user name has them, and a program that decodes a name may write it into a line.
func isEscape(text string) bool {
	return len(text) >= 3 && text[0] == '%' && isHex(text[1]) && isHex(text[2]) && text[1] >= '2' && text[1:3] != "7F"
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(nameMarks, c) >= 0
}

func showByte(c byte) string {
	if ' ' <= c && c <= '~' {
		return fmt.Sprintf("%q", c)
	}
	return fmt.Sprintf("byte 0x%02x", c)
}

// show quotes a pattern for a message, without bytes that a terminal would act on, and not all of one that is too long.
func show(pattern string) string {
	const most = 60
	if len(pattern) > most {
		return strconv.QuoteToASCII(pattern[:most]) + "…"
	}
	return strconv.QuoteToASCII(pattern)
}
