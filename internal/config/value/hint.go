package value

import (
	"bytes"
	"regexp"
	"strings"
)

var (
	tabIndent   = regexp.MustCompile(`^ *\t`)
	bareStar    = regexp.MustCompile(`^[ -]*[a-z_]+: *[*&]|[[{,] *([a-z_]+: *)?\*|^ *- *\*`)
	bareMark    = regexp.MustCompile("^[ -]*[a-z_]+: *[@%`]|[[{,] *([a-z_]+: *)?[@%`]|^ *- *[@%`]")
	badTab      = []string{"found a tab character", "found character that cannot start any token"}
	badStar     = "did not find expected alphabetic or numeric character"
	hintTab     = "; a tab indents the line: YAML takes spaces only"
	hintStar    = "; quote it: * has a meaning in YAML"
	hintMark    = "; quote it: @, % and ` have a meaning in YAML"
	aroundError = 2 // lines, as yaml's number is of where the construct begins
)

// HintSyntax returns what to add to an error of the YAML parser that two common slips earn, or "".
func HintSyntax(problem string, data []byte, line int) string {
	lines := bytes.Split(data, []byte("\n"))
	for i := max(0, line-aroundError); i < min(len(lines), line+aroundError); i++ {
		switch {
		case strings.HasPrefix(problem, badTab[0]) && bytes.IndexByte(lines[i], '\t') >= 0,
			problem == badTab[1] && tabIndent.Match(lines[i]):
			return hintTab
		case problem == badTab[1] && bareMark.Match(lines[i]):
			return hintMark
		case problem == badStar && bareStar.Match(lines[i]):
			return hintStar
		}
	}
	return ""
}
