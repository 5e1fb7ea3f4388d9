package site

import (
	"fmt"
	"slices"
	"strings"
)

// programs are the endings of what PHP runs. The rules of case are the strictest: on some systems .PHP is .php.
var programs = []string{"php", "php3", "php4", "php5", "php6", "php7", "php8", "phps", "pht", "phtm", "phtml", "phar"}

// sources are the endings of what else is not meant for clients: programs and templates of other languages, settings
// with their passwords, dumps, logs, what editors and people keep of a file, and private keys.
const sources = `
	cgi fcgi pl pm py pyc pyo rb erb sh bash csh ksh zsh lua tcl
	jsp jspx jspf asp aspx asa asax ascx ashx asmx cs vb cshtml cfm cfc
	twig tpl latte blade smarty inc module install theme
	ini yml yaml toml neon conf cfg config env htaccess htpasswd
	sql sqlite sqlite3 db mdb log
	bak bck backup old orig save sav swp swo swn dist rej tmp lock
	key ppk jks keystore kdbx
`

// sourceNames are files of tools that say what an app is made of, and private keys without an ending.
const sourceNames = `composer.json package.json package-lock.json gemfile makefile dockerfile rakefile procfile artisan
	id_rsa id_dsa id_ecdsa id_ed25519`

// packings are endings behind which the one that counts stands: dump.sql.gz is a dump.
const packings = "gz bz2 xz zst zip 7z rar tar tgz 1 2 3"

// fileRules says by their names which files are not served.
type fileRules struct{ hidden, served map[string]bool } // endings with their dot, or whole names; in lower case

func newFileRules(hide, serve []string) (fileRules, error) {
	r := fileRules{hidden: map[string]bool{}, served: map[string]bool{}}
	for ending := range strings.FieldsSeq(sources) {
		r.hidden["."+ending] = true
	}
	for name := range strings.FieldsSeq(sourceNames) {
		r.hidden[name] = true
	}
	for _, name := range hide {
		if !isRuleName(name) {
			return r, fmt.Errorf("site: hide_files: %q is neither an ending such as .tex nor a file's name", name)
		}
		r.hidden[strings.ToLower(name)] = true
	}
	for _, name := range serve {
		if !isRuleName(name) || isProgram(name) {
			return r, fmt.Errorf("site: serve_files: %q is neither an ending such as .log nor a file's name; programs are never served", name)
		}
		r.served[strings.ToLower(name)] = true
	}
	return r, nil
}

func isRuleName(name string) bool {
	return len(name) > 1 && !strings.ContainsAny(name, "/\\*") && strings.LastIndexByte(name, '.') < len(name)-1
}

// hides reports whether a file of this name is not served, and by which ending or name. Programs are not served
// whatever the rules say; for these by is empty.
func (r *fileRules) hides(name string) (by string, hidden bool) {
	name = strings.ToLower(name)
	if r.served[name] {
		return "", isProgram(name)
	}
	if isProgram(name) {
		return "", true
	}
	if r.hidden[name] {
		return name, true
	}
	for {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return "", false
		}
		switch ending := name[dot:]; {
		case r.served[ending]:
			return "", false
		case strings.HasSuffix(ending, "~"), strings.HasSuffix(ending, "#"):
			return ending, true
		case r.hidden[ending]:
			return ending, true
		case slices.Contains(strings.Fields(packings), ending[1:]):
			name = name[:dot]
		default:
			return "", false
		}
	}
}

// isProgram reports whether a file's name has the ending of a PHP program anywhere: editors and people keep copies
// as x.php.bak, x.php~ and x.php.2.
func isProgram(name string) bool {
	_, rest, _ := strings.Cut(strings.ToLower(name), ".")
	for part := range strings.SplitSeq(rest, ".") {
		part = strings.TrimRight(part, "~ ")
		for _, s := range programs {
			if part == s || strings.HasPrefix(part, s+"_") || strings.HasPrefix(part, s+"-") {
				return true
			}
		}
	}
	return false
}

// isScript says whether a file of this name may be run.
func isScript(name string) bool { return len(name) > len(".php") && strings.HasSuffix(name, ".php") }
