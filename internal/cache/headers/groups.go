package headers

import (
	"bytes"

	"holdfast/internal/cache/structured"
	"holdfast/internal/http1"
)

// The bounds of what a response that is kept may say in Cache-Groups. RFC 9875 §2 asks for 32 groups of 32 characters. With
// more, the response is not kept: of a list that is cut, an invalidation would miss some.
const (
	MaxGroups = 64
	maxGroup  = 256 // bytes
)

// Groups returns the groups that a response is in (RFC 9875 §2). A field that is malformed counts as absent. ok is false if
// they are more, or longer, than can be kept.
func Groups(fields []http1.Field) (list []string, ok bool) {
	list = groups(fields, "cache-groups")
	if len(list) > MaxGroups {
		return nil, false
	}
	for _, g := range list {
		if len(g) > maxGroup {
			return nil, false
		}
	}
	return list, true
}

// Channels returns the channels whose state a response shows, as Push-Channel says. ok is as of Groups.
func Channels(fields []http1.Field) (list []string, ok bool) {
	for i := range fields {
		if f := &fields[i]; !f.Drop && http1.EqualFold(f.Name, "push-channel") {
			list = AppendChannels(list, f.Value)
		}
	}
	return list, len(list) <= MaxGroups
}

// AppendChannels appends the channels that a value of Push-Channel names. What follows a semicolon is for the client.
func AppendChannels(list []string, value []byte) []string {
	for element := range bytes.SplitSeq(value, []byte(",")) {
		name, _, _ := bytes.Cut(element, []byte(";"))
		if name = http1.TrimOWS(name); len(name) > 0 {
			list = append(list, string(name))
		}
	}
	return list
}

// InvalidatedGroups returns the groups that the response to a request of an unsafe method invalidates (RFC 9875 §3). The
// caller has checked the method.
func InvalidatedGroups(fields []http1.Field) []string {
	return groups(fields, "cache-group-invalidation")
}

func groups(fields []http1.Field, name string) []string {
	if !Has(fields, name) {
		return nil
	}
	list, ok := structured.Strings(AppendList(nil, fields, name))
	if !ok {
		return nil
	}
	return list
}
