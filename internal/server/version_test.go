package server

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.0"}
	for _, tt := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"(devel)", nil, "devel go1.26.0"},
		{"v1.2.3", []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-30T10:00:00Z"}, {Key: "vcs.modified", Value: "false"}},
			"v1.2.3 commit 0123456789ab of 2026-11-30 go1.26.0"},
		{"", []debug.BuildSetting{{Key: "vcs.revision", Value: "01"}, {Key: "vcs.modified", Value: "true"}}, "devel commit 01 with changes go1.26.0"},
	} {
		info.Main.Version, info.Settings = tt.version, tt.settings
		if got := version(info); got != tt.want {
			t.Errorf("%q; want %q", got, tt.want)
		}
	}
}
