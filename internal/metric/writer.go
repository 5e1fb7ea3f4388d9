package metric

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Writer writes samples to an io.Writer, and HELP, TYPE and UNIT before the first one of each family. The samples of a family
// are to come one after the other. The first error of the io.Writer ends the writing; Close returns it.
type Writer struct {
	w      io.Writer
	format Format
	last   string // family
	err    error
}

func NewWriter(w io.Writer, f Format) *Writer { return &Writer{w: w, format: f} }

// Close writes the end, and returns what the io.Writer has failed with.
func (w *Writer) Close() error {
	if w.format == OpenMetrics {
		w.write([]byte("# EOF\n"))
	}
	return w.err
}

// Write takes whole lines in the text format, as VictoriaMetrics writes them. Those of no family are left out: some of the Go
// runtime do not follow the conventions.
func (w *Writer) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if w.describe(line) {
			w.write(line)
		}
	}
	return len(p), w.err
}

// Int writes one sample. The labels are names and values in turn.
func (w *Writer) Int(name string, value int64, labels ...string) {
	w.sample(name, strconv.FormatInt(value, 10), labels)
}

func (w *Writer) sample(name, value string, labels []string) {
	b := append([]byte(nil), name...)
	for i := 0; i+1 < len(labels); i += 2 {
		b = append(b, "{,"[min(i, 1)])
		b = append(append(b, labels[i]...), '=', '"')
		b = append(append(b, escaper.Replace(labels[i+1])...), '"')
	}
	if len(labels) > 1 {
		b = append(b, '}')
	}
	b = append(append(append(b, ' '), value...), '\n')
	w.describe(b)
	w.write(b)
}

// Ints writes a sample for each value of a label, in the order of the values.
func (w *Writer) Ints(name, label string, values map[string]int64) {
	for _, v := range slices.Sorted(maps.Keys(values)) {
		w.Int(name, values[v], label, v)
	}
}

// escaper escapes what a label's value may not have as it is.
var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// describe writes what precedes the first sample of a family. line begins with a sample. It reports whether there is a family.
func (w *Writer) describe(line []byte) bool {
	name := string(line)
	if i := bytes.IndexAny(line, "{ "); i >= 0 {
		name = name[:i]
	}
	f, ok := families[name]
	if !ok { // of a histogram or summary?
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && (families[base].kind == histogram || families[base].kind == summary) {
				name, f, ok = base, families[base], true
			}
		}
	}
	if !ok || name == w.last {
		return ok
	}
	w.last = name
	if w.format == Text {
		w.write(fmt.Appendf(nil, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, f.help, f.textKind()))
		return true
	}
	name = f.openName(name)
	w.write(fmt.Appendf(nil, "# TYPE %s %s\n", name, f.kind))
	if u := unit(name); u != "" {
		w.write(fmt.Appendf(nil, "# UNIT %s %s\n", name, u))
	}
	w.write(fmt.Appendf(nil, "# HELP %s %s\n", name, f.help))
	return true
}

func (w *Writer) write(p []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
}

// textKind returns the TYPE in the text format, which has no info.
func (f *family) textKind() string {
	if f.kind == info {
		return gauge
	}
	return f.kind
}

// openName returns the name of a family in OpenMetrics: that of its samples without what the type adds.
func (f *family) openName(name string) string {
	switch f.kind {
	case counter:
		return strings.TrimSuffix(name, "_total")
	case info:
		return strings.TrimSuffix(name, "_info")
	}
	return name
}

// unit returns the UNIT of a family, by its name in OpenMetrics, or nothing.
func unit(name string) string {
	for _, u := range [...]string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+u) {
			return u
		}
	}
	return ""
}
