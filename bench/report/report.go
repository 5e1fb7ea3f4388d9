package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Report is everything that one run has found.
type Report struct {
	Date     string     `json:"date"`
	Machine  Machine    `json:"machine"`
	Rounds   int        `json:"rounds"`
	Quick    bool       `json:"quick"`
	Took     string     `json:"took"`
	Versions []Version  `json:"versions"`
	Sections []*Section `json:"sections"`
	Failures []string   `json:"failures,omitempty"`
}

// Machine is where it ran.
type Machine struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Go     string `json:"go"`
	Load   string `json:"load_average_at_start"` // of one, five and fifteen minutes
}

type Version struct {
	Peer    string `json:"peer"`
	Version string `json:"version"`
}

// Section is one table.
type Section struct {
	Name string `json:"name"`
	Rows []*Row `json:"rows"`
}

// Row is one measure of all peers that have it.
type Row struct {
	Name  string           `json:"name"`
	Unit  string           `json:"unit"`
	Peers map[string]*Cell `json:"peers"`
}

// Cell is what the rounds have found for one peer.
type Cell struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Values Sample  `json:"values"`
}

// Add takes one figure of one round.
func (r *Report) Add(section, row, unit, peer string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		r.Failures = append(r.Failures, fmt.Sprintf("%s: %s, %s: no number", peer, section, row))
		return
	}
	c := r.cell(section, row, unit, peer)
	c.Values = append(c.Values, value)
	c.Median, c.Min, c.Max = c.Values.Median(), c.Values.Min(), c.Values.Max()
}

func (r *Report) cell(section, row, unit, peer string) *Cell {
	s := find(&r.Sections, func(s *Section) bool { return s.Name == section })
	s.Name = section
	w := find(&s.Rows, func(w *Row) bool { return w.Name == row })
	w.Name, w.Unit = row, unit
	if w.Peers == nil {
		w.Peers = map[string]*Cell{}
	}
	if w.Peers[peer] == nil {
		w.Peers[peer] = &Cell{}
	}
	return w.Peers[peer]
}

// find returns the element that is, or a new one at the end.
func find[T any](all *[]*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(*all, is); i >= 0 {
		return (*all)[i]
	}
	e := new(T)
	*all = append(*all, e)
	return e
}

// Row returns a row, nil if there is none.
func (r *Report) Row(section, row string) *Row {
	for _, s := range r.Sections {
		if s.Name != section {
			continue
		}
		for _, w := range s.Rows {
			if w.Name == row {
				return w
			}
		}
	}
	return nil
}

// JSON writes everything.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// Markdown writes the tables: the median, and below it the least and the most of the rounds.
func (r *Report) Markdown(w io.Writer) {
	fmt.Fprintf(w, "# Side by side\n\n%s, %d cores (%s), %s, Linux %s, %s. ", r.Date, r.Machine.Cores, r.Machine.CPU, r.Machine.Memory, r.Machine.Kernel, r.Machine.Go)
	fmt.Fprintf(w, "Load average at the start %s. Medians of up to %d rounds, with least–most; took %s.\n", r.Machine.Load, r.Rounds, r.Took)
	if r.Quick {
		fmt.Fprint(w, "\nA quick run: fewer sizes, shorter spans.\n")
	}
	fmt.Fprint(w, "\nServer, load generator and app share the cores. Compare ratios, not absolute numbers.\n\n| peer | version |\n| --- | --- |\n")
	for _, v := range r.Versions {
		fmt.Fprintf(w, "| %s | %s |\n", v.Peer, v.Version)
	}
	for _, s := range r.Sections {
		r.section(w, s)
	}
	if len(r.Failures) > 0 {
		fmt.Fprint(w, "\n## Failed\n\n")
		for _, f := range r.Failures {
			fmt.Fprintf(w, "- %s\n", strings.ReplaceAll(strings.TrimSpace(f), "\n", " / "))
		}
	}
}

func (r *Report) section(w io.Writer, s *Section) {
	var peers []string
	for _, v := range r.Versions {
		if slices.ContainsFunc(s.Rows, func(row *Row) bool { return row.Peers[v.Peer] != nil }) {
			peers = append(peers, v.Peer)
		}
	}
	fmt.Fprintf(w, "\n## %s\n\n| | %s |\n|%s\n", s.Name, strings.Join(peers, " | "), strings.Repeat(" --- |", len(peers)+1))
	for _, row := range s.Rows {
		name := row.Name
		if row.Unit != "" {
			name += " (" + row.Unit + ")"
		}
		fmt.Fprintf(w, "| %s |", name)
		for _, p := range peers {
			fmt.Fprintf(w, " %s |", row.Peers[p])
		}
		fmt.Fprintln(w)
	}
}

// String is the median, and the range if there was more than one round.
func (c *Cell) String() string {
	switch {
	case c == nil:
		return ""
	case len(c.Values) == 1:
		return "**" + Number(c.Median) + "**"
	}
	return fmt.Sprintf("**%s**<br>%s–%s", Number(c.Median), Number(c.Min), Number(c.Max))
}

// Number writes three significant digits, and all of those before the point.
func Number(v float64) string {
	size := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case size >= 99.95:
		return group(fmt.Sprintf("%.0f", v))
	case size >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case size >= 0.9995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// group puts a comma between thousands.
func group(digits string) string {
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
