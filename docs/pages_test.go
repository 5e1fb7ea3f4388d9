// Package docs has only tests: of the pages' links, lines and configurations.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/internal/config"
)

const (
	repository = ".."
	maxColumns = 100
)

// readPages returns every page of the documentation by its path from the repository's root.
func readPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	read := func(name string) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimPrefix(filepath.ToSlash(name), "../")] = string(data)
	}
	read(filepath.Join(repository, "README.md"))
	for _, dir := range []string{"docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(repository, dir), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") {
				read(name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(pages) < 10 {
		t.Fatalf("only %d pages found", len(pages))
	}
	return pages
}

func TestLines(t *testing.T) {
	for name, text := range readPages(t) {
		line := 0
		for l := range strings.Lines(text) {
			line++
			if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > maxColumns {
				t.Errorf("%s:%d has %d columns, want at most %d", name, line, n, maxColumns)
			}
		}
	}
}

var (
	codeBlock = regexp.MustCompile("(?ms)^ {0,3}```([a-z]*)[^\n]*\n(.*?)^ {0,3}```$")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	link      = regexp.MustCompile(`\]\(\s*([^)\s]+)\s*\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

func TestLinks(t *testing.T) {
	pages := readPages(t)
	for name, text := range pages {
		text = codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "code")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, fragment, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, m[1])
				continue
			}
			if page, ok := pages[target]; ok && fragment != "" && !hasAnchor(page, fragment) {
				t.Errorf("%s links to %s, but the page has no such heading", name, m[1])
			}
		}
	}
}

// hasAnchor reports whether a heading of page has the fragment, as GitHub makes it.
func hasAnchor(page, fragment string) bool {
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127:
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		if anchor == fragment {
			return true
		}
	}
	return false
}

// TestEveryPageIsLinked: a reader who starts at the index finds every page.
func TestEveryPageIsLinked(t *testing.T) {
	pages := readPages(t)
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, m := range link.FindAllStringSubmatch(pages[name], -1) {
			file, _, _ := strings.Cut(m[1], "#")
			if target := filepath.ToSlash(filepath.Join(filepath.Dir(name), file)); file != "" && pages[target] != "" {
				visit(target)
			}
		}
	}
	visit("README.md")
	for name := range pages {
		if !seen[name] && !strings.HasPrefix(name, "examples/") && !strings.HasPrefix(name, "docs/decisions/") {
			t.Errorf("no page that README.md leads to links to %s", name)
		}
	}
}

// TestConfigurations decodes every block of YAML. A block without a listener is a part of a configuration.
func TestConfigurations(t *testing.T) {
	n := 0
	for name, text := range readPages(t) {
		for _, m := range codeBlock.FindAllStringSubmatch(text, -1) {
			if m[1] != "yaml" {
				continue
			}
			n++
			if _, err := config.Parse(name, []byte(m[2])); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, m[2])
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d blocks of YAML found", n)
	}
}

// TestInlineCommands: a command that a reader would copy is in a block, which a test runs. In a sentence it is only named.
func TestInlineCommands(t *testing.T) {
	inline := regexp.MustCompile("`((?:\\./)?(?:curl|holdfast|go|docker|openssl|litmus|systemctl|gunicorn) [^`\n]*)`")
	named := map[string]bool{
		"go version": true, "holdfast check": true, "holdfast check -config FILE": true, "holdfast COMMAND -h": true,
		"go test -run NONE -bench Million ./upgrade": true, // a benchmark; it needs gigabytes
		"holdfast is up": true, "holdfast is shutting down": true, // messages of the log
	}
	for name, text := range readPages(t) {
		for _, m := range inline.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
			if !named[m[1]] && !strings.HasPrefix(name, "docs/decisions/") {
				t.Errorf("%s shows the command %q in a sentence, where nothing runs it", name, m[1])
			}
		}
	}
}
