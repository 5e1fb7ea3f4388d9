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

// Writer writes samples to an io.Writer, and HELP and TYPE before the first one of each family. The samples of a family are to
// come one after the other. The first error of the io.Writer ends the writing; Err returns it.
type Writer struct {
	w    io.Writer
	last string // family
	err  error
}

func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Err returns what the io.Writer failed with.
func (w *Writer) Err() error { return w.err }

// Write takes whole lines in the text format, as a metrics.Set of VictoriaMetrics writes them.
func (w *Writer) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		w.describe(line)
		w.write(line)
	}
	return len(p), w.err
}

// Int writes one sample. The labels are names and values in turn.
func (w *Writer) Int(name string, value int64, labels ...string) {
	b := append([]byte(nil), name...)
	for i := 0; i+1 < len(labels); i += 2 {
		b = append(b, "{,"[min(i, 1)])
		b = append(append(b, labels[i]...), '=', '"')
		b = append(append(b, escaper.Replace(labels[i+1])...), '"')
	}
	if len(labels) > 1 {
		b = append(b, '}')
	}
	w.line(string(b), strconv.FormatInt(value, 10))
}

func (w *Writer) line(sample, value string) {
	b := []byte(sample + " " + value + "\n")
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

func (w *Writer) describe(line []byte) {
	name := string(line)
	if i := bytes.IndexAny(line, "{ "); i >= 0 {
		name = name[:i]
	}
	f, ok := families[name]
	if !ok { // of a histogram?
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && families[base].kind == histogram {
				name, f, ok = base, families[base], true
			}
		}
	}
	if !ok || name == w.last {
		return
	}
	w.last = name
	w.write(fmt.Appendf(nil, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, f.help, f.kind))
}

func (w *Writer) write(p []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
}
