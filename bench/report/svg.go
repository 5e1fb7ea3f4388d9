package report

import (
	"fmt"
	"html"
	"io"
	"slices"
)

// Panel is one small bar chart.
type Panel struct {
	Title        string
	Section, Row string // what it shows
	More         bool   // more is better
}

const (
	panelWidth = 430
	barHeight  = 20
	labelWidth = 92
	plotWidth  = 210
	titleSpace = 46
	columns    = 2
)

var colours = map[string]string{
	"holdfast": "#c2410c", "nginx": "#4d7c0f", "haproxy": "#0e7490", "caddy": "#7c3aed", "nchan": "#65a30d",
	"centrifuge": "#2563eb", "mercure": "#9333ea", "bare write(2)": "#9ca3af", "no proxy": "#9ca3af",
}

// SVG draws panels of horizontal bars: the median, with a line from the least to the most. Panels whose row is not
// in the report are left out; nothing is drawn if none is left.
func (r *Report) SVG(w io.Writer, title string, panels []Panel) bool {
	panels = slices.DeleteFunc(slices.Clone(panels), func(p Panel) bool { return r.Row(p.Section, p.Row) == nil })
	if len(panels) == 0 {
		return false
	}
	var tops []int
	y := 56
	for i := 0; i < len(panels); i += columns {
		tallest := 0
		for _, p := range panels[i:min(i+columns, len(panels))] {
			tallest = max(tallest, len(r.Row(p.Section, p.Row).Peers))
		}
		tops = append(tops, y)
		y += titleSpace + tallest*barHeight + 18
	}
	width := columns*panelWidth + 24
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="system-ui, sans-serif" font-size="12">`+"\n", width, y+24)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	fmt.Fprintf(w, `<text x="24" y="32" font-size="17" font-weight="600" fill="#111827">%s</text>`+"\n", html.EscapeString(title))
	for i, p := range panels {
		r.panel(w, p, 24+i%columns*panelWidth, tops[i/columns])
	}
	fmt.Fprintf(w, `<text x="24" y="%d" fill="#6b7280" font-size="11">%s · %d cores, Linux %s · bar: median of the rounds, line: least to most</text>`+"\n",
		y+10, html.EscapeString(r.Date), r.Machine.Cores, html.EscapeString(r.Machine.Kernel))
	fmt.Fprintln(w, "</svg>")
	return true
}

func (r *Report) panel(w io.Writer, p Panel, x, y int) {
	row := r.Row(p.Section, p.Row)
	most := 0.0
	for _, c := range row.Peers {
		most = max(most, c.Max)
	}
	if most <= 0 {
		most = 1
	}
	better := "less is better"
	if p.More {
		better = "more is better"
	}
	fmt.Fprintf(w, `<text x="%d" y="%d" font-weight="600" fill="#111827">%s</text>`+"\n", x, y+16, html.EscapeString(p.Title))
	fmt.Fprintf(w, `<text x="%d" y="%d" fill="#6b7280" font-size="11">%s, %s</text>`+"\n", x, y+32, html.EscapeString(row.Unit), better)
	at := func(v float64) float64 { return float64(x+labelWidth) + max(v, 0)/most*plotWidth }
	y += titleSpace
	for _, v := range r.Versions {
		c := row.Peers[v.Peer]
		if c == nil {
			continue
		}
		weight := "400"
		if v.Peer == "holdfast" {
			weight = "700"
		}
		middle := float64(y) + barHeight/2 - 1
		fmt.Fprintf(w, `<text x="%d" y="%.1f" text-anchor="end" font-weight="%s" fill="#374151">%s</text>`, x+labelWidth-6, middle+4, weight, html.EscapeString(v.Peer))
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`, x+labelWidth, y+1, max(at(c.Median)-float64(x+labelWidth), 1), barHeight-5, colours[v.Peer])
		if len(c.Values) > 1 {
			fmt.Fprintf(w, `<path d="M%.1f %.1fH%.1f" stroke="#111827" stroke-width="1.2"/>`, at(c.Min), middle, at(c.Max))
		}
		fmt.Fprintf(w, `<text x="%.1f" y="%.1f" font-weight="%s" fill="#111827">%s</text>`+"\n", max(at(c.Median), at(c.Max))+6, middle+4, weight, Number(c.Median))
		y += barHeight
	}
}
