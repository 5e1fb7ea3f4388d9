package site

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	maxScanned     = 20_000   // entries of folders are looked at for .htaccess files
	maxHTAccess    = 64 << 10 // bytes of one are read
	maxUnprotected = 20       // are returned
)

// Unprotected is a directory that Apache protects by an .htaccess, which Holdfast ignores.
type Unprotected struct {
	File string // the .htaccess
	Line string // that protects
	Rule string // of the configuration, that does the same here
}

// FindUnprotected looks for .htaccess files below root, which is at a path of the URL, that keep clients out, or scripts
// from running. Below closed no client comes here, and below noScripts no script runs anyway. It looks at a bounded number
// of files, and returns what it found until then.
func FindUnprotected(root, at string, noScripts, closed []string) (list []Unprotected) {
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
		folder := path.Join("/", at, filepath.ToSlash(below))
		if u, ok := protection(name, folder, isBelow(folder, noScripts), closed); ok && !isBelow(folder, closed) {
			list = append(list, u)
		}
		return nil
	})
	return list
}

// isBelow reports whether a path is at or below one of prefixes.
func isBelow(p string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		prefix = strings.TrimRight(prefix, "/")
		return p == prefix || strings.HasPrefix(p, prefix+"/")
	})
}

// protection returns the first line of an .htaccess that protects its folder, at a path of the URL, and what is not in
// closed. quiet says that no scripts run there.
func protection(name, at string, quiet bool, closed []string) (Unprotected, bool) {
	f, err := os.Open(name)
	if err != nil {
		return Unprotected{}, false
	}
	defer f.Close() //nolint:errcheck // read only
	scripts := "no_scripts: [" + at + "]"
	files := "" // of the section that the line is in
	list := linesOf(f)
	open := slices.ContainsFunc(list, func(line string) bool { return strings.EqualFold(line, "allow from all") })
	for _, line := range list {
		low := strings.ToLower(line)
		pattern, out := refusedPaths(line)
		at, plain := plainPath(pattern, at)
		switch {
		case strings.HasPrefix(low, "<files"):
			files = low
		case strings.HasPrefix(low, "</files"):
			files = ""
		case out && !plain:
			if rule := ruleOf(pattern, quiet); rule != "" {
				return Unprotected{name, line, rule}, true
			}
		case stopsScripts(low), (out || keepsOut(low, open)) && strings.Contains(files, "ph"):
			if !quiet {
				return Unprotected{name, line, scripts}, true
			}
		case !out && !keepsOut(low, open), out && isBelow(at, closed):
		case files == "":
			return Unprotected{name, line, "routes: [{match: " + at + ", internal: true}], before all others"}, true
		case !strings.Contains(files, ".ht"):
			return Unprotected{name, line, "hide_files, with the endings or names that " + files + " names"}, true
		}
	}
	return Unprotected{}, false
}

// linesOf returns the directives of an .htaccess, with one space between words. A backslash at its end continues a line.
func linesOf(f io.Reader) (list []string) {
	begun := ""
	for lines := bufio.NewScanner(io.LimitReader(f, maxHTAccess)); lines.Scan(); {
		line, more := strings.CutSuffix(begun+lines.Text(), "\\")
		if begun = ""; more {
			begun = line
			continue
		}
		list = append(list, strings.Join(strings.Fields(line), " "))
	}
	return append(list, strings.Join(strings.Fields(begun), " "))
}

// stopsScripts reports whether a line of an .htaccess, in lower case, keeps scripts from running.
func stopsScripts(line string) bool {
	switch first, rest, _ := strings.Cut(line, " "); first {
	case "php_flag", "php_admin_flag", "php_value", "php_admin_value":
		value, ok := strings.CutPrefix(rest, "engine ")
		value = strings.Trim(value, `"'`)
		return ok && value != "on" && value != "1"
	case "removehandler", "removetype":
		return true
	case "sethandler", "forcetype":
		return strings.Contains(rest, "none") || strings.Contains(rest, "default-handler") || strings.Contains(rest, "text/plain") ||
			strings.Contains(rest, "octet-stream")
	case "addtype":
		kind, endings, _ := strings.Cut(rest, " ")
		return strings.Contains(endings, "ph") && !strings.Contains(kind, "php")
	case "addhandler":
		kind, endings, _ := strings.Cut(rest, " ")
		return strings.Contains(endings, "ph") && (kind == "cgi-script" || kind == "default-handler" || strings.HasPrefix(kind, "text/"))
	case "options":
		return strings.Contains(rest, "-execcgi")
	}
	return false
}

// keepsOut reports whether a line of an .htaccess, in lower case, keeps clients out, or asks for a password. open says
// that another line allows all.
func keepsOut(line string, open bool) bool {
	switch first, rest, _ := strings.Cut(line, " "); first {
	case "deny":
		return strings.HasPrefix(rest, "from ")
	case "allow":
		return strings.HasPrefix(rest, "from ") && !open // all others are denied
	case "order":
		return strings.ReplaceAll(rest, " ", "") == "allow,deny" && !open
	case "require":
		return rest != "all granted"
	case "authtype", "authuserfile":
		return true
	}
	return false
}

// refusedPaths returns the path or regular expression that a line of an .htaccess refuses by Redirect, RedirectMatch
// or RewriteRule. It reports false for other lines.
func refusedPaths(line string) (pattern string, ok bool) {
	words := strings.Fields(line)
	if len(words) < 3 {
		return "", false
	}
	switch strings.ToLower(words[0]) {
	case "redirect", "redirectmatch":
		pattern, ok = words[2], isRefusal(words[1])
	case "rewriterule":
		pattern = words[1]
		_, flags, _ := strings.Cut(strings.ToLower(line), " [")
		for flag := range strings.SplitSeq(strings.TrimSuffix(flags, "]"), ",") {
			switch name, value, _ := strings.Cut(strings.TrimSpace(flag), "="); name {
			case "f", "forbidden", "g", "gone":
				ok = true
			case "r", "redirect":
				ok = ok || isRefusal(value)
			}
		}
	}
	return strings.Trim(pattern, `"'`), ok
}

// isRefusal reports whether the status of a redirect is an error.
func isRefusal(status string) bool {
	n, err := strconv.Atoi(status)
	return strings.EqualFold(status, "gone") || err == nil && n >= 400 && n < 600
}

// plainPath returns the path that an expression of an .htaccess at another path stands for, if it stands for one.
func plainPath(pattern, at string) (string, bool) {
	p, anchored := strings.CutPrefix(pattern, "^")
	anchored = anchored || strings.HasPrefix(p, "/")
	p = strings.TrimSuffix(p, "$")
	for _, rest := range []string{"(.*)", ".*"} {
		short, cut := strings.CutSuffix(p, rest)
		anchored = anchored || cut && short == ""
		p = short
	}
	p = strings.ReplaceAll(p, `\.`, ".")
	switch {
	case !anchored && p != "" || strings.ContainsAny(p, `\[](){}+*?|^$`) || strings.Contains("/"+p, "/."):
		return "", false
	case strings.HasPrefix(p, "/"):
		return path.Clean(p), true
	}
	return path.Join(at, p), true
}

// ruleOf names what refuses here what an expression of an .htaccess does; empty: that is refused already.
func ruleOf(pattern string, quiet bool) string {
	rest := strings.TrimLeft(pattern, "^(|/)?:")
	front := pattern[:len(pattern)-len(rest)]
	rest = strings.TrimPrefix(rest, `\`)
	low := strings.ToLower(pattern)
	switch {
	case strings.HasPrefix(rest, ".") && rest[1:] == strings.TrimLeft(rest[1:], "*+?") && strings.ContainsAny(front, "^/"): // names that begin with a dot
		return ""
	case strings.Contains(low, "php") || strings.Contains(low, "phtml") || strings.Contains(low, "ph("):
		if quiet {
			return ""
		}
		return "no_scripts, with the folders of " + pattern
	case strings.HasPrefix(rest, ".") && strings.HasSuffix(pattern, "$"):
		return "hide_files, with the endings or names that " + pattern + " names"
	}
	return "routes with internal: true, before all others, for the paths of " + pattern
}
