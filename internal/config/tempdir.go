package config

import "os"

// NoFolder as buffers.temp_dir means that no temporary files are used.
const NoFolder = "none"

// TempDir returns the directory for temporary files, or "" if they are not to be used.
func (b *Buffers) TempDir() string {
	switch b.Folder {
	case "":
		return os.TempDir()
	case NoFolder:
		return ""
	}
	return b.Folder
}
