package server

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// What .ci/build.sh links in: the version, the commit and its date.
var release, commit, date string

// Version returns the version, the commit with its date, and the Go release.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	if release == "" {
		return version(info)
	}
	return release + " commit " + commit + " of " + date + " " + info.GoVersion
}

// version is that of a build by go build or go install, as Go has recorded it.
func version(info *debug.BuildInfo) string {
	text := info.Main.Version
	if text == "" || text == "(devel)" {
		text = "devel"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if commit := set["vcs.revision"]; commit != "" {
		text += " commit " + commit[:min(12, len(commit))]
		if day, _, ok := strings.Cut(set["vcs.time"], "T"); ok {
			text += " of " + day
		}
		if set["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	return text + " " + info.GoVersion
}
