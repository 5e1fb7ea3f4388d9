//go:build e2e && linux

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pageBlock is a piece of code in a page: fenced, with a language and perhaps more words after it, or indented by four
// spaces, which is a piece of shell.
type pageBlock struct {
	page, language, code string
	file                 string // after file=: the name that the reader saves the block under
	root                 bool   // the word root: only for root, so it is checked and not run
	after                string // the language of a diff's new side
	line                 int    // of the first line of code
}

// pageBlocks returns the pieces of code of a page of the repository.
func pageBlocks(t *testing.T, page string) (blocks []pageBlock) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	var code []string
	number, first, fence, margin := 0, 0, "", ""
	flush := func(info string) {
		if text := strings.TrimSpace(strings.Join(code, "\n")); text != "" {
			b := pageBlock{page: page, code: text, line: first}
			for i, word := range strings.Fields(info) {
				switch name, isFile := strings.CutPrefix(word, "file="); {
				case i == 0:
					b.language = word
				case isFile:
					b.file = name
				case b.language == "diff":
					b.after = word
				case word == "root":
					b.root = true
				default:
					t.Errorf("%s:%d: the block has the unknown word %q", page, first-1, word)
				}
			}
			blocks = append(blocks, b)
		}
		code = nil
	}
	add := func(line string) {
		if len(code) == 0 {
			first = number
		}
		code = append(code, line)
	}
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if before, _, found := strings.Cut(line, "```"); found && fence == "" && len(before) <= 3 && strings.TrimSpace(before) == "" {
			margin = before // the fence is in a list
		}
		if fence != "" || strings.HasPrefix(line, margin+"```") {
			line = strings.TrimPrefix(line, margin)
		}
		info, isFence := strings.CutPrefix(line, "```")
		indented, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case isFence && fence == "":
			flush("sh")
			if fence = info; fence == "" {
				t.Errorf("%s:%d: the block has no language", page, number)
				fence = "none"
			}
		case isFence:
			flush(fence)
			fence = ""
		case fence != "":
			add(line)
		case isIndented:
			add(indented)
		case line == "" && len(code) > 0:
			add(line)
		default:
			flush("sh")
		}
	}
	flush("sh")
	return blocks
}

// pagesWithBlocks returns the pages of the repository that people read: README.md, docs and examples.
func pagesWithBlocks(t *testing.T) (pages []string) {
	t.Helper()
	pages = []string{"README.md"}
	for _, dir := range []string{"docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(repository, dir), func(file string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(file, ".md") {
				file, err = filepath.Rel(repository, file)
				pages = append(pages, filepath.ToSlash(file))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

// pageCode returns the code of the block of a page in this language that begins with prefix.
func pageCode(t *testing.T, page, language, prefix string) string {
	t.Helper()
	for _, b := range pageBlocks(t, page) {
		if b.language == language && strings.HasPrefix(b.code, prefix) {
			return b.code
		}
	}
	t.Fatalf("%s has no block in %s that begins with %q", page, language, prefix)
	return ""
}
