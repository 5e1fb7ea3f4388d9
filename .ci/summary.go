// Command summary tells how a run of test.sh went: everything that failed, in full, then a line per
// step, then the count of tests. It exits with 1 if anything failed, was skipped, or never ran.
//
//	summary steps.tsv
//
// A line of steps.tsv is KIND, NAME, EXIT CODE, SECONDS and FILE, separated by tabs: FILE.out and
// FILE.err hold what the step printed. A step of kind test printed the output of go test -json.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: summary steps.tsv")
		os.Exit(2)
	}
	ok, err := summarize(os.Stdout, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// count is the number of tests that ended in each way. A test with subtests is not counted beside
// them, unless it ended worse than each of them.
type count struct{ passed, failed, skipped int }

func (c count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

type step struct {
	kind, name string
	code       int
	seconds    int
	file       string
	count      count
}

func (s *step) failed() bool { return s.code != 0 || s.count.failed > 0 }

func summarize(w io.Writer, path string) (ok bool, err error) {
	steps, err := readSteps(path)
	if err != nil {
		return false, err
	}
	var total count
	for _, s := range steps {
		if s.kind == "test" {
			err = s.readTests(w)
		} else if s.code != 0 {
			err = s.printOutput(w)
		}
		if err != nil {
			return false, err
		}
		// What failed without a test to blame still shows in the count, and so does a step of tests
		// that ran none.
		if s.count.failed == 0 && (s.code != 0 || s.kind == "test" && s.count == (count{})) {
			s.count.failed = 1
		}
		total.passed += s.count.passed
		total.failed += s.count.failed
		total.skipped += s.count.skipped
	}
	fmt.Fprintln(w)
	for _, s := range steps {
		verdict := "ok    "
		if s.failed() {
			verdict = "FAILED"
		}
		fmt.Fprintf(w, "%s  %-18s %4d s", verdict, s.name, s.seconds)
		if s.kind == "test" {
			fmt.Fprintf(w, "  %v", s.count)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, total)
	return total.failed == 0 && total.skipped == 0 && total.passed > 0, nil
}

func readSteps(path string) ([]*step, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var steps []*step
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 5 {
			return nil, fmt.Errorf("%s: want 5 fields, have %q", path, line)
		}
		code, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("%s: exit code: %w", path, err)
		}
		seconds, err := strconv.Atoi(fields[3])
		if err != nil {
			return nil, fmt.Errorf("%s: seconds: %w", path, err)
		}
		steps = append(steps, &step{kind: fields[0], name: fields[1], code: code, seconds: seconds, file: fields[4]})
	}
	return steps, nil
}

func (s *step) printOutput(w io.Writer) error {
	fmt.Fprintf(w, "\n==== %s: exit code %d\n", s.name, s.code)
	for _, suffix := range []string{".out", ".err"} {
		data, err := os.ReadFile(s.file + suffix)
		if err != nil {
			return err
		}
		w.Write(data)
	}
	return nil
}

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build action
	Test        string
	Output      string
	FailedBuild string
}

// result is what became of one test, or, under the name "", of a package.
type result struct {
	action string // "run" until it has ended
	output strings.Builder
}

type testPackage struct {
	path    string
	results map[string]*result
	order   []string // names of the tests as they began
}

func (p *testPackage) result(name string) *result {
	r := p.results[name]
	if r == nil {
		r = &result{action: "run"}
		p.results[name] = r
		if name != "" {
			p.order = append(p.order, name)
		}
	}
	return r
}

// readTests counts the tests of the step and prints those that failed or were skipped.
func (s *step) readTests(w io.Writer) error {
	file, err := os.Open(s.file + ".out")
	if err != nil {
		return err
	}
	defer file.Close()

	packages := make(map[string]*testPackage)
	builds := make(map[string]*strings.Builder) // what the compiler said, by import path
	var order []*testPackage
	var stray strings.Builder // lines that are not events
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				stray.Write(line)
			} else if strings.HasPrefix(e.Action, "build-") {
				if builds[e.ImportPath] == nil {
					builds[e.ImportPath] = new(strings.Builder)
				}
				builds[e.ImportPath].WriteString(e.Output)
			} else {
				p := packages[e.Package]
				if p == nil {
					p = &testPackage{path: e.Package, results: make(map[string]*result)}
					packages[e.Package] = p
					order = append(order, p)
				}
				r := p.result(e.Test)
				switch e.Action {
				case "output":
					r.output.WriteString(e.Output)
				case "pass", "fail", "skip":
					r.action = e.Action
					if b := builds[e.FailedBuild]; b != nil {
						r.output.WriteString(b.String())
					}
				}
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}

	for _, p := range order {
		s.count.add(p.count(w))
	}
	if s.code != 0 && s.count.failed == 0 {
		fmt.Fprintf(w, "\n==== %s: exit code %d\n%s", s.name, s.code, stray.String())
		for path, b := range builds {
			fmt.Fprintf(w, "%s\n%s", path, b)
		}
		data, err := os.ReadFile(s.file + ".err")
		if err != nil {
			return err
		}
		w.Write(data)
	}
	return nil
}

func (c *count) add(d count) {
	c.passed += d.passed
	c.failed += d.failed
	c.skipped += d.skipped
}

// count counts the tests of p, and writes those that did not pass to w.
func (p *testPackage) count(w io.Writer) count {
	var c count
	// Later names first, so that a parent, which begins before its subtests, knows of theirs.
	below := make(map[string][]string) // what the subtests of a test were counted as
	for _, name := range slices.Backward(p.order) {
		action := p.results[name].action
		if action == "run" {
			action = "fail" // the process ended before the test did
		}
		subtests := below[name]
		counts := len(subtests) == 0 || action != "pass" && !slices.Contains(subtests, action)
		if counts {
			switch action {
			case "pass":
				c.passed++
			case "fail":
				c.failed++
			case "skip":
				c.skipped++
			}
		}
		for parent := name; ; {
			i := strings.LastIndexByte(parent, '/')
			if i < 0 {
				break
			}
			parent = parent[:i]
			below[parent] = append(below[parent], action)
		}
	}
	for _, name := range p.order {
		if r := p.results[name]; r.action != "pass" {
			fmt.Fprintf(w, "\n==== %s %s: %s\n%s", p.path, name, r.action, &r.output)
		}
	}
	// A package fails by itself when it does not build, its TestMain fails, it is killed, …
	if r := p.results[""]; r != nil && r.action != "pass" && r.action != "skip" {
		fmt.Fprintf(w, "\n==== %s: %s\n%s", p.path, r.action, &r.output)
		if c.failed == 0 {
			c.failed = 1
		}
	}
	return c
}
