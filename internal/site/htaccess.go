package site

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	maxScanned     = 20_000   // entries of folders are looked at for .htaccess files
	maxHTAccess    = 64 << 10 // bytes of one are read
	maxUnprotected = 20       // are returned
)

// Unprotected is a folder that Apache protects by an .htaccess, which nobody reads here.
type Unprotected struct {
	File string // the .htaccess
	Line string // that protects
	Rule string // of the configuration, that does the same here
}

// FindUnprotected looks for .htaccess files below root that keep clients out, or scripts from running, where
// noScripts does not. It looks at a bounded number of files, and returns what it found until then.
func FindUnprotected(root string, noScripts []string) (list []Unprotected) {
	left := maxScanned
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil
	}
	//nolint:errcheck // what cannot be read is not served either
	filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if left--; left < 0 || len(list) >= maxUnprotected {
			return fs.SkipAll
		}
		if err != nil {
			return nil
		}
		if e.IsDir() && name != root && strings.HasPrefix(e.Name(), ".") {
			return fs.SkipDir // is hidden here
		}
		if e.Name() != ".htaccess" || !e.Type().IsRegular() {
			return nil
		}
		below, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return nil
		}
		if u, ok := protection(name, path.Join("/", filepath.ToSlash(below)), noScripts); ok {
			list = append(list, u)
		}
		return nil
	})
	return list
}

// protection returns the first line of an .htaccess that protects its folder, at a path of the site.
func protection(name, at string, noScripts []string) (Unprotected, bool) {
	f, err := os.Open(name)
	if err != nil {
		return Unprotected{}, false
	}
	defer f.Close() //nolint:errcheck // read only
	quiet := false
	for _, prefix := range noScripts {
		prefix = strings.TrimRight(prefix, "/")
		quiet = quiet || at == prefix || strings.HasPrefix(at, prefix+"/")
	}
	scripts := "site.no_scripts: [" + at + "]"
	files := "" // of the section that the line is in
	for lines := bufio.NewScanner(io.LimitReader(f, maxHTAccess)); lines.Scan(); {
		line := strings.Join(strings.Fields(lines.Text()), " ")
		low := strings.ToLower(line)
		switch {
		case strings.HasPrefix(low, "<files"):
			files = low
		case strings.HasPrefix(low, "</files"):
			files = ""
		case stopsScripts(low), keepsOut(low) && strings.Contains(files, "ph"):
			if !quiet {
				return Unprotected{name, line, scripts}, true
			}
		case keepsOut(low) && files != "":
			if !strings.Contains(files, ".ht") {
				return Unprotected{name, line, "site.hide_files, with the endings or names that " + files + " names"}, true
			}
		case keepsOut(low):
			return Unprotected{name, line, "routes: [{match: " + at + ", internal: true}], before all others"}, true
		}
	}
	return Unprotected{}, false
}

// stopsScripts reports whether a line of an .htaccess, in lower case, keeps scripts from running.
func stopsScripts(line string) bool {
	switch first, rest, _ := strings.Cut(line, " "); first {
	case "php_flag", "php_admin_flag":
		return rest == "engine off" || rest == "engine 0"
	case "removehandler", "removetype":
		return true
	case "sethandler", "forcetype":
		return strings.Contains(rest, "none") || strings.Contains(rest, "default-handler") || strings.Contains(rest, "text/plain")
	case "addtype", "addhandler":
		return strings.Contains(rest, ".ph") && (strings.Contains(rest, "text/") || strings.Contains(rest, "cgi-script"))
	case "options":
		return strings.Contains(rest, "-execcgi")
	}
	return false
}

// keepsOut reports whether a line of an .htaccess, in lower case, keeps clients out, or asks for a password.
func keepsOut(line string) bool {
	switch first, rest, _ := strings.Cut(line, " "); first {
	case "deny":
		return strings.HasPrefix(rest, "from ")
	case "require":
		return rest != "all granted"
	case "authtype", "authuserfile":
		return true
	case "rewriterule":
		return strings.Contains(rest, "[f") || strings.Contains(rest, ",f]") || strings.Contains(rest, ",f,")
	}
	return false
}
