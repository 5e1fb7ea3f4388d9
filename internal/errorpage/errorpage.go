// Package errorpage has pages that stand for the short ones with which Holdfast says that a request has failed.
package errorpage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/internal/throttle"
)

// MaxSize is the largest page: it is sent in one piece.
const MaxSize = 32 << 10

// fresh is how long a look at a page's file is good.
const fresh = time.Second

// Options of a page.
type Options struct {
	Statuses string   // such as "502 503 504"
	Files    []string // absolute; the first that there is has the page
}

// Pages are found by the status that they are for. Any goroutine may use them. Nil Pages have none.
type Pages struct {
	pages     map[int]*page
	intercept bool
}

type page struct {
	files   []string
	content atomic.Pointer[content] // nil: none of the files can be read
	checked atomic.Int64            // in Unix nanoseconds
	busy    atomic.Bool
	missing throttle.Throttle
	log     *slog.Logger
}

type content struct {
	text []byte
	kind string
	name string
	info os.FileInfo
}

// ErrStatuses is what all errors of ParseStatuses are.
var ErrStatuses = errors.New("bad statuses")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrStatuses }

// ParseStatuses reads a list of statuses.
func ParseStatuses(s string) (list []int, err error) {
	for word := range strings.FieldsSeq(s) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 400 || n > 599 || len(word) != 3 {
			return nil, problem("is no list of statuses from 400 to 599, such as 404 or \"502 503 504\"")
		}
		if slices.Contains(list, n) {
			return nil, problem("has " + word + " twice")
		}
		list = append(list, n)
	}
	if len(list) == 0 {
		return nil, problem("is empty; want a status such as 404")
	}
	return list, nil
}

// New reads the pages. It is nil without any. A status that two pages are for has the one that is for fewer. With intercept, they stand for
// responses of apps too. A page whose file cannot be read is logged, and nothing stands for it.
func New(list []Options, intercept bool, log *slog.Logger) (*Pages, error) {
	if len(list) == 0 {
		return nil, nil
	}
	x := &Pages{pages: map[int]*page{}, intercept: intercept}
	count := map[int]int{}
	for _, o := range list {
		statuses, err := ParseStatuses(o.Statuses)
		if err != nil {
			return nil, fmt.Errorf("%q %w", o.Statuses, err)
		}
		p := &page{files: o.Files, log: log}
		p.read(time.Now())
		for _, n := range statuses {
			if was, ok := count[n]; !ok || len(statuses) < was {
				x.pages[n], count[n] = p, len(statuses)
			}
		}
	}
	return x, nil
}

// Of returns the page for a status and its media type; nil: there is none. work runs the look at a file that may have changed, on a
// worker.
func (x *Pages) Of(status int, now time.Time, work func(func()) bool) (text []byte, kind string) {
	if x == nil {
		return nil, ""
	}
	p := x.pages[status]
	if p == nil {
		return nil, ""
	}
	if now.UnixNano()-p.checked.Load() > int64(fresh) && p.busy.CompareAndSwap(false, true) {
		if !work(func() {
			defer p.busy.Store(false)
			p.read(now)
		}) {
			p.busy.Store(false)
		}
	}
	c := p.content.Load()
	if c == nil {
		return nil, ""
	}
	return c.text, c.kind
}

// Intercepts reports whether a page stands for an app's response of this status. now and work are those of Of.
func (x *Pages) Intercepts(status int, now time.Time, work func(func()) bool) bool {
	if x == nil || !x.intercept {
		return false
	}
	text, _ := x.Of(status, now, work)
	return text != nil
}

// read reads the page, if it has changed.
func (p *page) read(now time.Time) {
	p.checked.Store(now.UnixNano())
	was := p.content.Load()
	var failure error
	for _, name := range p.files {
		info, err := os.Stat(name)
		if err == nil && was != nil && was.name == name && os.SameFile(info, was.info) && info.Size() == was.info.Size() && info.ModTime().Equal(was.info.ModTime()) {
			return
		}
		c, err := load(name)
		if err == nil {
			p.content.Store(c)
			return
		}
		if failure == nil || !errors.Is(err, os.ErrNotExist) {
			failure = err
		}
	}
	p.content.Store(nil)
	if total, due := p.missing.Due(now); due && p.log != nil {
		p.log.Error("error page not read; a short one is sent", "key", "error_pages", "error", failure, "total", total)
	}
}

func load(name string) (*content, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > MaxSize:
		return nil, fmt.Errorf("%s is larger than %d kB", name, MaxSize>>10)
	case len(text) == 0:
		return nil, fmt.Errorf("%s is empty", name)
	}
	return &content{text: text, kind: kindOf(name), name: name, info: info}, nil
}

// kindOf returns the media type of a page. One of HTML may name its charset itself.
func kindOf(name string) string {
	switch ending := strings.ToLower(filepath.Ext(name)); ending {
	case ".html", ".htm", "":
		return "text/html"
	default:
		if kind := mime.TypeByExtension(ending); kind != "" {
			return kind
		}
	}
	return "application/octet-stream"
}

// Check returns what is wrong with the files of a page.
func Check(files []string) (err error) {
	for _, name := range files {
		_, e := load(name)
		if e == nil {
			return nil
		}
		if err == nil || !errors.Is(e, os.ErrNotExist) {
			err = e
		}
	}
	return err
}
