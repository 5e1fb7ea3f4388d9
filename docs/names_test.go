package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readFile returns the text of a file by its path from the repository's root.
func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestWalks: the functions that the architecture page names are in the files that it names.
func TestWalks(t *testing.T) {
	stops := regexp.MustCompile("(?m)^\\| \\d+ \\| `([^`]+)` `([^`]+)` \\|").FindAllStringSubmatch(
		readFile(t, "docs/contributing/architecture.md"), -1)
	if len(stops) < 20 {
		t.Fatalf("only %d stops found", len(stops))
	}
	for _, s := range stops {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, s[1]), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		if !declares(file, s[2]) {
			t.Errorf("%s has no %s", s[1], s[2])
		}
	}
}

// TestPackages: the architecture page names every package below internal once, in order, and no others.
func TestPackages(t *testing.T) {
	_, table, _ := strings.Cut(readFile(t, "docs/contributing/architecture.md"), "| Package | What it has |")
	table, _, _ = strings.Cut(table, "\n\n")
	var named, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9]+)` \\| \\S").FindAllStringSubmatch(table, -1) {
		named = append(named, row[1])
	}
	folders, err := os.ReadDir(filepath.Join(repository, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		want = append(want, folder.Name())
	}
	if !slices.Equal(named, want) {
		t.Errorf("named are %q; want %q", named, want)
	}
}

// TestWhereToChange: the files that the architecture page's table names have what it says.
func TestWhereToChange(t *testing.T) {
	_, table, _ := strings.Cut(readFile(t, "docs/contributing/architecture.md"), "| To change | Open |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := regexp.MustCompile("`([^`]+\\.go)` `([^`]+)`").FindAllStringSubmatch(table, -1)
	if len(rows) < 15 {
		t.Fatalf("only %d places found", len(rows))
	}
	for _, r := range rows {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, r[1]), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		if !declares(file, r[2]) {
			t.Errorf("%s has no %s", r[1], r[2])
		}
	}
}

// declares reports whether a file declares a name of the package, or a method as Type.Method.
func declares(file *ast.File, name string) bool {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if qualifiedName(d) == name {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == name {
						return true
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name == name {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// qualifiedName returns Type.Method, or the name of a function.
func qualifiedName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if i, ok := t.(*ast.IndexExpr); ok {
		t = i.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

// readSources returns the Go code of the module, of its tests or of the rest.
func readSources(t *testing.T, tests bool) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(repository, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "bench" || d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && strings.HasSuffix(name, "_test.go") == tests:
			data, err := os.ReadFile(name)
			all.Write(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestClaims: the tests that the security page names exist.
func TestClaims(t *testing.T) {
	names := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(readFile(t, "docs/security.md"), -1)
	if len(names) < 20 {
		t.Fatalf("only %d tests named", len(names))
	}
	sources := readSources(t, true)
	for _, name := range names {
		if !strings.Contains(sources, "func "+name+"(") {
			t.Errorf("no test is named %s", name)
		}
	}
}

// TestLogMessages: the messages and reasons of the logs page are in the code.
func TestLogMessages(t *testing.T) {
	rows := regexp.MustCompile("(?m)^(?:\\| (?:info|warn|error) \\| |- (?:info|warn|error) \\()`([^`]+)`").FindAllStringSubmatch(
		readFile(t, "docs/reference/logs.md"), -1)
	if len(rows) < 10 {
		t.Fatalf("only %d messages found", len(rows))
	}
	_, reasons, _ := strings.Cut(readFile(t, "docs/reference/logs.md"), "| `reason` of `subscribe rejected` |")
	reasons, _, _ = strings.Cut(reasons, "\n\n")
	list := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(reasons, -1)
	if len(list) < 5 {
		t.Fatalf("only %d reasons found", len(list))
	}
	rows = append(rows, list...)
	sources := readSources(t, false)
	for _, r := range rows {
		if !strings.Contains(sources, `"`+r[1]+`"`) {
			t.Errorf("no log message is %q", r[1])
		}
	}
}

// TestLogFields: the fields of the logs page are in the code, and each thing has one name.
func TestLogFields(t *testing.T) {
	page, sources := readFile(t, "docs/reference/logs.md"), readSources(t, false)
	_, table, found := strings.Cut(page, "| Field | Meaning |")
	if !found {
		t.Fatal("the page has no table of fields")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	n := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 2 {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			n++
			if !strings.Contains(sources, `"`+m[1]+`", `) {
				t.Errorf("no log line has the field %s", m[1])
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d fields found", n)
	}
	for old, now := range map[string]string{"err": "error", "remote": "client", "again_in": "retry_in", "so_far": "total"} {
		if m := regexp.MustCompile(`(?:Debug|Info|Warn|Error)\([^\n]*"` + old + `", `).FindString(sources); m != "" {
			t.Errorf("%s: the field is called %s", m, now)
		}
	}
}

// TestMetricNames: the metrics page has every metric of the code, and no other.
func TestMetricNames(t *testing.T) {
	page := readFile(t, "docs/reference/metrics.md")
	inCode := map[string]bool{}
	for _, m := range regexp.MustCompile(`"holdfast_([a-z_]+)[{" ]|`+"`holdfast_([a-z_]+)[{` ]").FindAllStringSubmatch(readSources(t, false), -1) {
		inCode[m[1]+m[2]] = true
	}
	onPage := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^(?:\\| |- )(`.*?) (?:\\||\\()[ ]?(?:gauge|counter|histogram)").FindAllStringSubmatch(page, -1) {
		for _, m := range regexp.MustCompile("`([a-z_]+)").FindAllStringSubmatch(row[1], -1) {
			onPage[m[1]] = true
		}
	}
	if len(inCode) < 40 || len(onPage) < 40 {
		t.Fatalf("%d metrics in the code and %d on the page found", len(inCode), len(onPage))
	}
	for name := range inCode {
		if !onPage[name] {
			t.Errorf("the page lacks holdfast_%s", name)
		}
	}
	for name := range onPage {
		if !inCode[name] {
			t.Errorf("the page has holdfast_%s, which is not in the code", name)
		}
	}
}
