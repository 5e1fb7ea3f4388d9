package config

import (
	"reflect"
	"testing"
)

func TestInjectErrors(t *testing.T) {
	check(t, []errorCase{
		{"no match", "inject: [{polls: [/status.php]}]", `1:10: inject[0].match: missing; want a path of pages such as /parcels`},
		{"no path", "inject: [{match: parcels, polls: [/status.php]}]", `1:18: inject[0].match: "parcels" does not begin with /; want a path of pages such as /parcels`},
		{"no polls", "inject: [{match: /parcels}]", `1:10: inject[0].polls: missing; want the paths that the pages poll, such as [/status.php?id]`},
		{"a URL", "inject: [{match: /, polls: [\"https://app.test/x\"]}]", `1:29: inject[0].polls[0]: "https://app.test/x" does not begin with /; want a path, and names of query parameters if its response depends on them alone, such as /status.php?id&lang`},
		{"values", "inject: [{match: /, polls: [\"/x?id=5\"]}]", `1:29: inject[0].polls[0]: "/x?id=5" has other query parameters than names; want some such as /status.php?id&lang`},
		{"twice", "inject: [{match: /, polls: [/x, \"/x?id\"]}]", `1:33: inject[0].polls[1]: "/x" is there twice`},
		{"hidden", "inject:\n- {match: /a, polls: [/x]}\n- {match: /a/b, polls: [/x]}", `3:11: inject[1].match: "/a/b" is never reached, as inject[0] matches all of it and the first match wins`},
		{"unknown key", "inject: [{match: /a, polls: [/x], poll: [/x]}]", `1:35: inject[0].poll: unknown key; did you mean "polls"?`},
	})
}

func TestShimPolls(t *testing.T) {
	r := Inject{Polls: []string{"/a", "/b?", "/c?id&lang"}}
	if got, want := r.ShimPolls(), (map[string][]string{"/a": nil, "/b": {}, "/c": {"id", "lang"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
