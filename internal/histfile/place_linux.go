package histfile

import (
	"io/fs"
	"syscall"
)

// placeOf returns what the kernel knows of a file and nobody can set: its inode, and when it was last written or had
// its name, owner or times changed.
func placeOf(info fs.FileInfo) place {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return place{changed: info.ModTime().UnixNano()}
	}
	return place{inode: s.Ino, changed: s.Ctim.Nano()}
}
