package site

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options of a site.
type Options struct {
	Root       string        // the directory, absolute; it may be a symbolic link, which may change at any time
	ScriptRoot string        // path of the same directory for php-fpm; empty means Root with its links resolved
	Index      []string      // index files of a directory; nil means index.php, index.html
	NoScripts  []string      // paths below which no script is run, such as "/upload"
	TryFiles   []string      // paths to try instead of one that does not exist, such as "/index.php", with variables
	Groups     []string      // names of the groups that TryFiles may have: those of the route's pattern; nil: it has none
	Follow     bool          // symbolic links may lead out of the root
	Hide       []string      // endings (".tex") and names of more files that are not served
	Serve      []string      // endings and names of files that are served although they are hidden; never programs
	Types      []string      // each a media type and its endings, "image/x-pcx pcx"
	MaxAge     time.Duration // for which a client may use a file without asking again; 0: the client decides; below 0: it asks each time
	Plain      bool          // programs are ordinary files, and nothing is run; for routes that only an app can use
}

// Site is safe for concurrent use. It holds nothing open.
type Site struct {
	root       string
	scriptRoot string
	resolved   bool // scriptRoot is what root leads to
	index      []string
	noScripts  [][]string
	tryFiles   []tryFile
	expands    bool // one of tryFiles has variables
	follow     bool
	plain      bool
	maxAge     time.Duration
	rules      fileRules
	types      map[string]string
}

// New checks the options. The directory need not exist yet.
func New(o Options) (*Site, error) {
	s := &Site{root: filepath.Clean(o.Root), scriptRoot: strings.TrimRight(o.ScriptRoot, "/"), index: o.Index, follow: o.Follow, plain: o.Plain, maxAge: o.MaxAge}
	if !filepath.IsAbs(o.Root) {
		return nil, fmt.Errorf("site: root %q is not an absolute path", o.Root)
	}
	if s.resolved = o.ScriptRoot == ""; !s.resolved && !path.IsAbs(o.ScriptRoot) {
		return nil, fmt.Errorf("site: script root %q is not an absolute path", o.ScriptRoot)
	}
	if s.index == nil {
		s.index = []string{"index.php", "index.html"}
	}
	var err error
	if s.rules, err = newFileRules(o.Hide, o.Serve); err != nil {
		return nil, err
	}
	for _, line := range o.Types {
		if len(parseTypes(line)) == 0 {
			return nil, fmt.Errorf("site: types: %q is not a media type and its endings, such as %q", line, "image/x-pcx pcx")
		}
	}
	s.types = parseTypes(strings.Join(o.Types, "\n"))
	for _, name := range s.index {
		if strings.ContainsAny(name, "/\\") || name == "" || !mayOpen([]string{name}) {
			return nil, fmt.Errorf("site: index %q is not a file's plain name", name)
		}
	}
	for _, p := range o.NoScripts {
		elements, _, err := split(p)
		if err == nil && slices.ContainsFunc(elements, func(e string) bool { return !isName(e) }) {
			err = errPath
		}
		if err != nil {
			return nil, fmt.Errorf("site: no scripts below %q: %w", p, err)
		}
		s.noScripts = append(s.noScripts, elements)
	}
	for _, p := range o.TryFiles {
		try, err := newTryFile(p, o.Groups)
		if err != nil {
			return nil, fmt.Errorf("site: try file %q: %w", p, err)
		}
		s.tryFiles, s.expands = append(s.tryFiles, try), s.expands || try.text != nil
	}
	return s, nil
}

// Script is a script to run.
type Script struct {
	Root     string // DOCUMENT_ROOT
	Filename string // SCRIPT_FILENAME
	Name     string // SCRIPT_NAME
	PathInfo string // decoded; empty without
	Query    string // instead of the request's, if HasQuery is set
	HasQuery bool
}

// target is the result of a lookup. Exactly one of script, file, redirect and status is set.
type target struct {
	status   int    // 400, 403, 404
	reason   string // for the status, with the key to set; empty if nothing exists there
	script   *Script
	file     *resolvedPath
	redirect []string // the directory's path, which lacks its slash
}

// resolve looks up a request's path. Close the resolvedPath that it returns. The error is one of the system.
func (s *Site) resolve(r *Request) (target, error) {
	elements, slash, err := split(r.Path)
	if err != nil {
		return target{status: 400, reason: "path that can be read in two ways: bad escapes, NUL or dot segments"}, nil
	}
	t, err := s.find(elements, slash)
	for i := range s.tryFiles {
		if err != nil || t.status != 0 || t.found() {
			break
		}
		t, err = s.try(&s.tryFiles[i], r.Values)
	}
	if err == nil && t.status == 0 && !t.found() && slices.ContainsFunc(elements, func(e string) bool { return !isName(e) }) {
		// Nothing has such a name, and some would read another.
		return target{status: 400, reason: "encoded slash, backslash or control byte in the name of a file; try_files leaves such paths to a script"}, nil
	}
	return settle(t, err)
}

// settle sets the status of a lookup that found nothing.
func settle(t target, err error) (target, error) {
	switch {
	case errors.Is(err, errLeaves):
		return hide("symbolic link that leads out of the root; see follow_links"), nil
	case errors.Is(err, fs.ErrPermission):
		return target{status: 403, reason: "the system does not permit reading it: see the owner and mode of the file and its folders"}, nil
	case err == nil && !t.found() && t.status == 0:
		t.status = 404
	}
	return t, err
}

func (t *target) found() bool { return t.script != nil || t.file != nil || t.redirect != nil }

// hide refuses without looking for something else: the path names something that exists and is not to be served.
func hide(reason string) target { return target{status: 404, reason: reason} }

var hidden = hide("name that begins with a dot, or ends in a dot or a space; such files are never served")

// find looks for a script, a file or a directory. An empty target means that there is none.
func (s *Site) find(elements []string, slash bool) (target, error) {
	for i, e := range elements {
		if s.plain || !isScript(e) {
			continue
		}
		if !mayOpen(elements[:i+1]) {
			return s.barred(elements[:i+1])
		}
		p, err := s.locate(elements[:i+1])
		if err != nil || p == nil {
			return target{}, err // what is not there has nothing below it either
		}
		if p.isFolder() {
			continue
		}
		return s.script(p, elements[:i+1], elements[i+1:], slash)
	}
	if !mayOpen(elements) {
		return s.barred(elements)
	}
	p, err := s.locate(elements)
	if err != nil || p == nil {
		return target{}, err
	}
	switch {
	case p.isFolder():
		return s.folder(elements, slash)
	case slash:
		p.close()
		return target{}, nil
	default:
		return s.file(p, elements), nil
	}
}

// barred looks at a path that may not be opened. If something has the name, it is hidden; if nothing has, the path is
// one of the app's, as /wiki/Washington_D.C. is, and nothing is found.
func (s *Site) barred(elements []string) (target, error) {
	for i, e := range elements {
		switch {
		case !isName(e):
			return target{}, nil
		case !isSafe(e):
			return hidden, nil
		case !isHidden(i, e):
			continue
		}
		p, err := s.locate(elements[:i+1])
		switch {
		case errors.Is(err, fs.ErrPermission):
			return hidden, nil
		case err != nil:
			return target{}, err
		case p == nil:
			return target{}, nil
		}
		p.close()
		return hidden, nil
	}
	return target{}, nil
}

// script checks the file that was found for a script's name, and closes p.
func (s *Site) script(p *resolvedPath, elements, rest []string, slash bool) (target, error) {
	defer p.close()
	switch {
	case !p.info.Mode().IsRegular():
		return hide("script that is no regular file"), nil
	case !mayOpen(p.elements):
		return hidden, nil
	case !isScript(p.name()):
		return hide("link by the name of a script to what is none"), nil
	case s.scriptsDisabled(elements) || s.scriptsDisabled(p.elements):
		return hide("script below a prefix of no_scripts"), nil
	}
	if slices.ContainsFunc([]byte(strings.Join(rest, "")), isControl) { // which scripts write to logs and pages
		return target{status: 400, reason: "encoded control byte in PATH_INFO"}, nil
	}
	root, err := s.rootOfScripts()
	if err != nil {
		return target{}, err
	}
	name := "/" + strings.Join(elements, "/")
	script := &Script{Root: root, Filename: root + name, Name: name}
	if script.Root == "" {
		script.Root = "/"
	}
	if len(rest) > 0 {
		script.PathInfo = "/" + strings.Join(rest, "/")
	}
	if slash {
		script.PathInfo += "/"
	}
	return target{script: script}, nil
}

// rootOfScripts returns the root for php-fpm, without a trailing slash. If it is a link to a release, it returns where
// the link leads now: opcache knows a script by its name, and would run that of the last release.
func (s *Site) rootOfScripts() (string, error) {
	if !s.resolved {
		return s.scriptRoot, nil
	}
	root, err := filepath.EvalSymlinks(s.root)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrRoot, err)
	}
	return strings.TrimRight(filepath.ToSlash(root), "/"), nil
}

func (s *Site) scriptsDisabled(elements []string) bool {
	return slices.ContainsFunc(s.noScripts, func(prefix []string) bool { return below(elements, prefix) })
}

// file checks a file. p is kept or closed.
func (s *Site) file(p *resolvedPath, elements []string) target {
	p.asked = elements[len(elements)-1]
	switch {
	case !p.info.Mode().IsRegular():
		p.close()
		return hide("no regular file")
	case !mayOpen(p.elements):
		p.close()
		return hidden
	case s.plain:
		return target{file: p}
	}
	for _, name := range [2]string{p.asked, p.name()} {
		switch by, is := s.rules.hides(name); {
		case is && by == "":
			p.close()
			return hide("source of a program, which is never served")
		case is:
			p.close()
			return hide("source, settings or a copy by its name; to serve it, add \"" + by + "\" to serve_files")
		}
	}
	return target{file: p}
}

// folder looks for a folder's index.
func (s *Site) folder(elements []string, slash bool) (target, error) {
	for _, name := range s.index {
		inside := append(slices.Clip(elements), name)
		p, err := s.locate(inside)
		if errors.Is(err, errLeaves) {
			continue
		}
		if err != nil {
			return target{}, err
		}
		if p == nil {
			continue
		}
		var t target
		switch {
		case p.isFolder():
			continue
		case isScript(name) && !s.plain:
			if t, err = s.script(p, inside, nil, false); err != nil {
				return target{}, err
			}
		default:
			t = s.file(p, inside)
		}
		if t.status != 0 {
			continue // index.php in a folder that runs nothing
		}
		if !slash && len(elements) > 0 {
			if t.file != nil {
				t.file.close()
			}
			return target{redirect: elements}, nil
		}
		return t, nil
	}
	return target{}, nil
}
