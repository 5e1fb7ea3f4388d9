package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// What a reader can keep in view. Test code, and structs that only carry settings, are not counted.
const (
	maxPackage  = 3000 // lines
	maxFile     = 450  // lines
	maxFunction = 80   // lines
	maxFields   = 25   // of a struct
	maxMethods  = 45   // of a type
)

// oversized is what exceeds a limit today, with its present size, which it may not exceed. An entry goes when the code is
// split.
var oversized = map[string]int{}

func TestSize(t *testing.T) {
	sizes := measure(t)
	if sizes["package proxy"] == 0 || sizes["file proxy/handler.go"] == 0 || sizes["methods of internal/park.Loop"] == 0 {
		t.Fatal("the code was not found")
	}
	for name, size := range sizes {
		what, _, _ := strings.Cut(name, " ")
		limit := map[string]int{
			"package": maxPackage, "file": maxFile, "func": maxFunction, "fields": maxFields, "methods": maxMethods,
		}[what]
		if allowed, listed := oversized[name]; listed {
			limit = allowed
		}
		if size > limit {
			t.Errorf("%s: %d, want at most %d", name, size, limit)
		}
	}
}

// measure returns the sizes of everything that has a limit, by kind and name.
func measure(t *testing.T) map[string]int {
	t.Helper()
	sizes := map[string]int{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (name == "bench" || name == "examples" || name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return measureFile(sizes, filepath.ToSlash(name), text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// measureFile adds the sizes of one file. Files for different systems count together for their package.
func measureFile(sizes map[string]int, name string, text []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	in := path.Dir(name)
	lines := bytes.Count(text, []byte("\n"))
	sizes["package "+in] += lines
	sizes["file "+name] = lines
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			of := in
			if decl.Recv != nil {
				of += "." + receiver(decl.Recv.List[0].Type)
				sizes["methods of "+of]++
			}
			key := "func " + of + "." + decl.Name.Name
			sizes[key] = max(sizes[key], set.Position(decl.End()).Line-set.Position(decl.Pos()).Line+1)
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				s, ok := spec.(*ast.TypeSpec)
				if !ok || in == "internal/config" || strings.HasSuffix(s.Name.Name, "Options") || strings.HasSuffix(s.Name.Name, "Settings") {
					continue
				}
				if body, ok := s.Type.(*ast.StructType); ok {
					key := "fields of " + in + "." + s.Name.Name
					sizes[key] = max(sizes[key], body.Fields.NumFields())
				}
			}
		}
	}
	return nil
}

// receiver returns the name of a method's type.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return fmt.Sprintf("%T", t)
}

// TestMeasure: each size is counted as a reader would.
func TestMeasure(t *testing.T) {
	sizes := map[string]int{}
	text := "package p\n\ntype A[T any] struct {\n\tx, y int\n\tB\n}\n\ntype SomeOptions struct{ a, b int }\n\n" +
		"func (a *A[T]) f() {\n\t_ = func() {\n\t}\n}\n\nfunc (A[T]) g() {}\n\nfunc f() {}\n"
	if err := measureFile(sizes, "p/a.go", []byte(text)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"package p": 17, "file p/a.go": 17, "fields of p.A": 3, "fields of p.SomeOptions": 0,
		"methods of p.A": 2, "func p.A.f": 4, "func p.A.g": 1, "func p.f": 1,
	} {
		if sizes[name] != want {
			t.Errorf("%s: %d, want %d", name, sizes[name], want)
		}
	}
}
