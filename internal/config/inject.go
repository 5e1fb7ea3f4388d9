package config

import (
	"fmt"
	"strings"
)

// Inject names pages that get the browser shim, and the polls that it answers.
type Inject struct {
	Match string   `yaml:"match" eg:"/parcels"`
	Polls []string `yaml:"polls" eg:"[/status.php?id]"`
}

// ShimPolls returns what the shim is told: paths, and the names of the query parameters that their responses depend on; nil
// for all parameters.
func (i *Inject) ShimPolls() map[string][]string {
	list := map[string][]string{}
	for _, p := range i.Polls {
		path, names, some := strings.Cut(p, "?")
		switch {
		case !some:
			list[path] = nil
		case names == "":
			list[path] = []string{}
		default:
			list[path] = strings.Split(names, "&")
		}
	}
	return list
}

// injects checks inject of each level.
func (d *decoder) injects(c *Config) {
	c.EachLevel(func(b *Block, at ...string) {
		if at[0] == "" || d.given[join(at[0], "inject")] {
			d.injectList(b.Inject, join(at[0], "inject"))
		}
	})
}

func (d *decoder) injectList(list []Inject, name string) {
	for i := range list {
		r, key := &list[i], fmt.Sprintf("%s[%d]", name, i)
		if d.failed[key] {
			continue
		}
		d.injectMatch(list, i, name)
		if len(r.Polls) == 0 && !d.failed[key+".polls"] {
			d.add(key+".polls", "missing; want the paths that the pages poll, such as [/status.php?id]")
		}
		seen := map[string]bool{}
		for j, p := range r.Polls {
			path, names, some := strings.Cut(p, "?")
			at := fmt.Sprintf("%s.polls[%d]", key, j)
			switch problem := pathProblem(path); {
			case problem != "" && path != "/":
				d.add(at, show(p)+" "+problem+"; want a path, and names of query parameters if its response depends on them alone, such as /status.php?id&lang")
			case some && names != "" && strings.Trim(names, lettersDigits+"_-~.[]&") != "", strings.Contains("&"+names+"&", "&&") && names != "":
				d.add(at, show(p)+" has other query parameters than names; want some such as /status.php?id&lang")
			case seen[path]:
				d.add(at, show(path)+" is there twice")
			}
			seen[path] = true
		}
	}
}

// injectMatch checks the path of pages.
func (d *decoder) injectMatch(list []Inject, i int, name string) {
	r, key := &list[i], fmt.Sprintf("%s[%d].match", name, i)
	if d.failed[key] {
		return
	}
	switch problem := pathProblem(r.Match); {
	case r.Match == "":
		d.add(key, "missing; want a path of pages such as /parcels")
		return
	case problem != "" && r.Match != "/":
		d.add(key, show(r.Match)+" "+problem+"; want a path of pages such as /parcels")
		return
	}
	for j := range list[:i] {
		if e := &list[j]; e.Match != "" && isAtOrBelow(r.Match, e.Match) {
			d.add(key, fmt.Sprintf("%s is never reached, as %s[%d] matches all of it and the first match wins", show(r.Match), name, j))
			return
		}
	}
}
