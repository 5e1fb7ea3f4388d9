package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Kind says how much a finding hurts.
type Kind string

const (
	Broken   Kind = "broken"    // does not work
	WillBite Kind = "will bite" // works now, and fails with more load, other clients or an attacker
	Fine     Kind = "fine"
)

// The checks, by what hurts most.
const (
	checkReach     = "reach"     // requests get to Holdfast
	checkAPI       = "api"       // the app's requests get to Holdfast
	checkOpen      = "open"      // the app lets in whom it should not
	checkStream    = "stream"    // streams are not buffered
	checkPublish   = "publish"   // a publish arrives
	checkScheme    = "scheme"    // http or https
	checkHost      = "host"      // Host with its port
	checkUpgrade   = "upgrade"   // WebSockets
	checkSilence   = "silence"   // how long a connection may be silent
	checkCookie    = "cookie"    // the login reaches the push path
	checkAuthorize = "authorize" // the app answers
	checkLock      = "lock"      // not behind the lock of a session
	checkAddress   = "address"   // the client's address
	checkForged    = "forged"    // clients can't forge what the proxy says of them
	checkCompress  = "compress"  // the stream is not compressed on the way
	checkHTTP      = "http"      // HTTP/1.1
	checkFiles     = "files"     // descriptors
)

var order = []string{
	checkReach, checkAPI, checkOpen, checkStream, checkPublish, checkScheme, checkHost, checkUpgrade, checkSilence,
	checkCookie, checkAuthorize, checkLock, checkAddress, checkForged, checkCompress, checkHTTP, checkFiles,
}

// Finding is the result of one check.
type Finding struct {
	Kind   Kind     `json:"kind"`
	Check  string   `json:"check"`
	Title  string   `json:"title"`          // what it means
	Sent   string   `json:"sent,omitempty"` // what was tried
	Seen   string   `json:"seen,omitempty"` // what came of it
	Change []Change `json:"change,omitempty"`
}

// Change is what to write where.
type Change struct {
	In    string   `json:"in"` // config.yaml, or the program in front
	Lines []string `json:"lines"`
	Also  bool     `json:"also,omitempty"` // besides the change before, not instead of it
}

// Report is what was found.
type Report struct {
	URL       string    `json:"url"`
	Front     string    `json:"front"` // what stands before Holdfast
	Findings  []Finding `json:"findings"`
	NotTested []string  `json:"not_tested"`
}

// add adds a finding. What is fine needs no change.
func (r *Report) add(f Finding) {
	if f.Kind == Fine {
		f.Change = nil
	}
	r.Findings = append(r.Findings, f)
}

// skip adds to what was not tested.
func (r *Report) skip(format string, args ...any) {
	r.NotTested = append(r.NotTested, fmt.Sprintf(format, args...))
}

// sort puts first what hurts most.
func (r *Report) sort() {
	rank := func(f Finding) int {
		n := slices.Index(order, f.Check)
		switch f.Kind {
		case Broken:
			return n
		case WillBite:
			return n + 100
		}
		return n + 200
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return rank(a) - rank(b) })
}

// Count returns how many findings are of a kind.
func (r *Report) Count(k Kind) (n int) {
	for i := range r.Findings {
		if r.Findings[i].Kind == k {
			n++
		}
	}
	return n
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// labelWidth is where texts begin behind their label.
const labelWidth = 11

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n", r.URL, r.Front)
	var fine []string
	for _, f := range r.Findings {
		if f.Kind == Fine {
			fine = append(fine, f.Title)
			continue
		}
		b.WriteByte('\n')
		line(&b, strings.ToUpper(string(f.Kind)), f.Title)
		line(&b, "  tried", f.Sent)
		line(&b, "  seen", f.Seen)
		for i, c := range f.Change {
			label := "  change"
			switch {
			case c.Also:
				label = "  and"
			case i > 0:
				label = "  or"
			}
			line(&b, label, c.In+":")
			for _, l := range c.Lines {
				fmt.Fprintf(&b, "%*s%s\n", labelWidth+4, "", l)
			}
		}
	}
	b.WriteByte('\n')
	line(&b, "fine", strings.Join(fine, " "))
	for _, text := range r.NotTested {
		line(&b, "not tested", text)
	}
	fmt.Fprintf(&b, "\n%d broken, %d will bite, %d fine\n", r.Count(Broken), r.Count(WillBite), r.Count(Fine))
	_, err := io.WriteString(w, b.String())
	return err
}

// textWidth is where lines for people are broken.
const textWidth = 100

// line writes a label and a text, broken at blanks; nothing for an empty text.
func line(b *strings.Builder, label, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, "%-*s", labelWidth, label)
	column := labelWidth
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > textWidth:
			fmt.Fprintf(b, "\n%*s", labelWidth, "")
			column = labelWidth
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}
