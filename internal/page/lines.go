package page

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// What is kept of the log. Ordinary lines take 100 kB together, the longest ones 4 MB.
const (
	maxLines    = 200
	maxExamples = 200
	maxFields   = 16
	maxText     = 300         // bytes of a message or a value that are shown
	maxRaw      = 2 * maxText // that are kept until then, as what is hidden may be long
)

// Line is a line of the log, without what the page must not show.
type Line struct {
	Seq    uint64  `json:"seq"`  // grows by one from line to line
	Time   int64   `json:"time"` // Unix milliseconds
	Level  string  `json:"level"`
	Text   string  `json:"text"`
	Fields []Field `json:"fields,omitempty"`

	cleaned func() *Line // shown, made when somebody looks
}

// Field is a field of a line.
type Field struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// field returns the value of a field; empty: there is none.
func (l *Line) field(key string) string {
	for _, f := range l.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// Recorder is a slog.Handler that passes records on, and keeps the last of them.
type Recorder struct {
	next   slog.Handler
	fields []Field // of WithAttrs
	group  string  // of WithGroup, with a dot
	kept   *kept
}

// Record returns a Recorder in front of next.
func Record(next slog.Handler) *Recorder {
	return &Recorder{next: next, kept: &kept{examples: map[example]*Line{}}}
}

// RecorderOf returns the Recorder of a logger, and a logger that has one.
func RecorderOf(log *slog.Logger) (*Recorder, *slog.Logger) {
	if r, ok := log.Handler().(*Recorder); ok {
		return r, log
	}
	r := Record(log.Handler())
	return r, slog.New(r)
}

// Hide has these texts, which are secrets, never be in a later line. Those of earlier calls stay hidden.
func (r *Recorder) Hide(secrets ...string) {
	var list []string
	if old := r.kept.secrets.Load(); old != nil {
		list = slices.Clone(*old)
	}
	for _, s := range secrets {
		if len(s) >= minSecret && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	r.kept.secrets.Store(&list)
}

const minSecret = 8 // bytes; a shorter text occurs by chance

// Enabled implements slog.Handler.
func (r *Recorder) Enabled(ctx context.Context, level slog.Level) bool {
	return r.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (r *Recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	w := *r
	w.next = r.next.WithAttrs(attrs)
	w.fields = slices.Clone(r.fields)
	for _, a := range attrs {
		w.fields = r.kept.appendField(w.fields, r.group, a)
	}
	return &w
}

// WithGroup implements slog.Handler.
func (r *Recorder) WithGroup(name string) slog.Handler {
	w := *r
	w.next, w.group = r.next.WithGroup(name), r.group+name+"."
	return &w
}

// Handle implements slog.Handler.
func (r *Recorder) Handle(ctx context.Context, record slog.Record) error {
	l := &Line{
		Time: record.Time.UnixMilli(), Level: strings.ToLower(record.Level.String()), Text: r.kept.raw(record.Message),
		Fields: slices.Clone(r.fields),
	}
	record.Attrs(func(a slog.Attr) bool {
		l.Fields = r.kept.appendField(l.Fields, r.group, a)
		return len(l.Fields) < maxFields
	})
	l.cleaned = sync.OnceValue(l.clean)
	r.kept.add(l)
	return r.next.Handle(ctx, record)
}

// kept is what Recorders with different fields share.
type kept struct {
	secrets atomic.Pointer[[]string]

	mu       sync.Mutex // guards what follows
	lines    []*Line    // the newest last
	seq      uint64     // of the newest
	examples map[example]*Line
}

// example is what the lines have in common of which the newest is kept.
type example struct{ text, reason, status string }

func (k *kept) add(l *Line) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seq++
	l.Seq = k.seq
	if len(k.lines) == maxLines {
		k.lines = slices.Delete(k.lines, 0, 1)
	}
	k.lines = append(k.lines, l)
	of := example{l.Text, l.field("reason"), l.field("status")}
	if k.examples[of] == nil && len(k.examples) == maxExamples {
		oldest := of
		for e, line := range k.examples {
			if o := k.examples[oldest]; o == nil || line.Seq < o.Seq {
				oldest = e
			}
		}
		delete(k.examples, oldest)
	}
	k.examples[of] = l
}

// since returns the lines after the one with this number, and that of the newest.
func (r *Recorder) since(seq uint64) ([]*Line, uint64) {
	if r == nil {
		return nil, 0
	}
	list, newest := r.kept.since(seq)
	for i, l := range list { // loggers do not wait for it
		list[i] = l.cleaned()
	}
	return list, newest
}

func (k *kept) since(seq uint64) ([]*Line, uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := min(k.seq-min(seq, k.seq), uint64(len(k.lines)))
	return slices.Clone(k.lines[uint64(len(k.lines))-n:]), k.seq
}

// newest returns the newest line that fits; nil: none does.
func (r *Recorder) newest(fits func(*Line) bool) *Line {
	if r == nil {
		return nil
	}
	found := r.kept.newest(fits)
	if found == nil {
		return nil
	}
	return found.cleaned()
}

func (k *kept) newest(fits func(*Line) bool) (found *Line) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.examples {
		if (found == nil || l.Seq > found.Seq) && fits(l) {
			found = l
		}
	}
	return found
}

// appendField appends a field, or those of a group.
func (k *kept) appendField(list []Field, group string, a slog.Attr) []Field {
	v := a.Value.Resolve()
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, of := range v.Group() {
			list = k.appendField(list, group, of)
		}
		return list
	case a.Equal(slog.Attr{}) || len(list) >= maxFields:
		return list
	}
	text := v.String()
	switch {
	case a.Key == "stderr" || a.Key == "stack": // what an app's script writes is for nobody but who may read the log
		text = fmt.Sprintf("%d bytes; see the log", len(text))
	case isSecret(a.Key):
		text = hidden
	case v.Kind() == slog.KindTime:
		text = v.Time().Format(time.RFC3339)
	default:
		text = k.raw(text)
	}
	return append(list, Field{group + a.Key, text})
}

var (
	// What may be a secret of a client or of the app: the query of a URL, a header, a token.
	query  = regexp.MustCompile(`(/[^\s"'?]*\?)[^\s"]+`)
	bearer = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate) +[a-z0-9._~+/=-]{4,}`)
	pair   = regexp.MustCompile(`(?i)(cookie2?|authorization|token|passw(?:or)?d|secret|session_?id|sessid|api[_-]?key)("?\s*[=:]\s*["']?)([^\s"&;,]+)`)
	scheme = regexp.MustCompile(`(?i)^(?:bearer|basic|digest|negotiate)$`)
	jwt    = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)
)

const hidden = "***"

// isSecret reports whether a field of this name has a secret.
func isSecret(key string) bool {
	for _, word := range [...]string{"cookie", "authorization", "token", "passw", "secret", "session", "api_key"} {
		if len(key) >= len(word) && strings.Contains(strings.ToLower(key), word) {
			return true
		}
	}
	return false
}

// raw returns a text as it is kept: without what Hide has, and not too long.
func (k *kept) raw(text string) string {
	if list := k.secrets.Load(); list != nil {
		for _, s := range *list {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	return strings.Clone(text[:min(len(text), maxRaw)])
}

// clean returns a line that the page may show. It takes a while, so that lines nobody looks at stay as they are.
func (l *Line) clean() *Line {
	c := &Line{Seq: l.Seq, Time: l.Time, Level: l.Level, Text: clean(l.Text)}
	for _, f := range l.Fields {
		c.Fields = append(c.Fields, Field{f.Key, clean(f.Value)})
	}
	return c
}

// clean returns a text without secrets, in one line, and not too long.
func clean(text string) string {
	text = bearer.ReplaceAllString(text, "$1 "+hidden)
	text = jwt.ReplaceAllString(text, hidden)
	text = query.ReplaceAllString(text, "${1}"+hidden)
	text = pair.ReplaceAllStringFunc(text, func(found string) string {
		part := pair.FindStringSubmatch(found)
		if scheme.MatchString(part[3]) { // what follows it is hidden already
			return found
		}
		return part[1] + part[2] + hidden
	})
	return clip(printable(text))
}

// printable writes what is not seen, or changes the direction of what is, as an escape.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// clip shortens a text to maxText bytes.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
