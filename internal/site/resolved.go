package site

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks are followed for one path, as many as Linux would.
const maxLinks = 40

// ErrRoot means that the root could not be opened, so not even a 404 would be certain.
var ErrRoot = errors.New("site: the root cannot be opened")

var (
	errLeaves  = errors.New("site: a link leads out of the root")
	errChanged = errors.New("site: the file was exchanged while it was opened")
)

// resolvedPath is where a path leads, symbolic links followed: a folder, or something in one.
type resolvedPath struct {
	elements []string    // of the name without links, from the root; outside of it, the last one only
	info     fs.FileInfo // nil for a folder
	dir      *os.Root    // what holds a file in the root; nil for a folder
	outside  string      // the whole name, if it is outside of the root, which Follow allows
	asked    string      // the requested name, which decides the media type
}

func (p *resolvedPath) isFolder() bool { return p.info == nil }

func (p *resolvedPath) name() string { return p.elements[len(p.elements)-1] }

func (p *resolvedPath) close() {
	if p.dir != nil {
		p.dir.Close()
		p.dir = nil
	}
}

// open opens a regular file. If another one is there by now, which may be anything, the error is
// errChanged, and the path is to be resolved again.
func (p *resolvedPath) open() (f *os.File, info fs.FileInfo, err error) {
	if p.outside != "" {
		f, err = os.OpenFile(p.outside, openFlags, 0)
	} else {
		f, err = p.dir.OpenFile(p.name(), openFlags, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errChanged
	}
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && !os.SameFile(info, p.info) {
		err = errChanged
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// locate finds what elements name; nil if there is nothing. The error is errLeaves if a link leads out of the root and
// Follow does not allow it.
func (s *Site) locate(elements []string) (*resolvedPath, error) {
	p, err := s.walk(elements)
	if errors.Is(err, errLeaves) && s.follow {
		p, err = s.walkOutside(elements)
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG),
		errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EILSEQ):
		return nil, nil
	case errors.Is(err, ErrRoot), errors.Is(err, errLeaves):
		return nil, err
	}
	return nil, fmt.Errorf("site: /%s: %w", strings.Join(elements, "/"), err)
}

// walk goes from the root one element at a time. Each folder is opened in the one before, so that none
// can be exchanged for a way out; a link's target takes the link's place.
func (s *Site) walk(todo []string) (*resolvedPath, error) {
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRoot, err) // not %w: it must not read as "not there"
	}
	p := new(resolvedPath)
	dirs := []*os.Root{root} // dirs[i] is what elements[:i] name
	defer func() {
		for _, dir := range dirs {
			if dir != p.dir {
				dir.Close()
			}
		}
	}()
	up := func(to int) {
		for _, dir := range dirs[to+1:] {
			dir.Close()
		}
		dirs, p.elements = dirs[:to+1], p.elements[:to]
	}
	for links := 0; len(todo) > 0; {
		e, dir := todo[0], dirs[len(dirs)-1]
		todo = todo[1:]
		if e == ".." { // of a link
			if len(p.elements) == 0 {
				return nil, errLeaves
			}
			up(len(p.elements) - 1)
			continue
		}
		info, err := dir.Lstat(e)
		if err != nil {
			return nil, err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return nil, syscall.ELOOP
			}
			link, err := dir.Readlink(e)
			if errors.Is(err, syscall.EINVAL) {
				return nil, errChanged // it is no link any more
			}
			if err != nil {
				return nil, err
			}
			if filepath.IsAbs(link) {
				if link, err = s.fromRoot(link); err != nil {
					return nil, err
				}
				up(0)
			}
			todo = append(linkElements(link), todo...)
		case info.IsDir():
			next, err := dir.OpenRoot(e)
			if err != nil {
				return nil, err
			}
			dirs, p.elements = append(dirs, next), append(p.elements, e)
		case len(todo) > 0:
			return nil, syscall.ENOTDIR
		default:
			p.elements, p.info, p.dir = append(p.elements, e), info, dir
		}
	}
	return p, nil
}

func linkElements(link string) []string {
	return slices.DeleteFunc(strings.Split(filepath.ToSlash(link), "/"), func(e string) bool { return e == "" || e == "." })
}

// fromRoot makes an absolute name one from the root.
func (s *Site) fromRoot(name string) (string, error) {
	if rest, ok := cutFolder(name, s.root); ok {
		return rest, nil
	}
	root, err := filepath.EvalSymlinks(s.root)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrRoot, err)
	}
	if rest, ok := cutFolder(name, root); ok {
		return rest, nil
	}
	return "", errLeaves
}

func cutFolder(name, folder string) (string, bool) {
	if name == folder {
		return ".", true
	}
	return strings.CutPrefix(name, strings.TrimRight(folder, string(filepath.Separator))+string(filepath.Separator))
}

// walkOutside follows links wherever they lead.
func (s *Site) walkOutside(elements []string) (*resolvedPath, error) {
	name, err := filepath.EvalSymlinks(filepath.Join(append([]string{s.root}, elements...)...))
	if err != nil {
		return nil, err
	}
	switch rest, err := s.fromRoot(name); {
	case err == nil: // out and in again
		return s.walk(linkElements(rest))
	case !errors.Is(err, errLeaves):
		return nil, err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	p := &resolvedPath{elements: []string{filepath.Base(name)}, outside: name}
	if !info.IsDir() {
		p.info = info
	}
	return p, nil
}
