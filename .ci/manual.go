// Command manual writes the man page and the completions for three shells, from what the program says of itself with -h:
// go run .ci/manual.go PROGRAM FOLDER.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// command is one of the program's, as its help describes it.
type command struct {
	name, arguments, summary string
	flags                    []option
}

type option struct{ name, value, text string }

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: manual PROGRAM FOLDER")
	}
	program, folder := os.Args[1], os.Args[2]
	intro, commands := parseUsage(help(program))
	for i := range commands {
		commands[i].arguments, commands[i].flags = parseFlags(help(program, commands[i].name))
	}
	version := strings.Fields(output(program, "version"))[1]
	var page bytes.Buffer
	z := gzip.NewWriter(&page) // without a name and a time: the same bytes each time
	fmt.Fprint(z, manPage(intro, version, commands))
	if err := z.Close(); err != nil {
		log.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"holdfast.1.gz": page.Bytes(), "holdfast.bash": []byte(bash(commands)),
		"_holdfast": []byte(zsh(commands)), "holdfast.fish": []byte(fish(commands)),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// help is what the program, or a command of it, says of itself.
func help(program string, command ...string) string { return output(program, append(command, "-h")...) }

func output(program string, args ...string) string {
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		log.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// usageLine is a command, its arguments, and behind two spaces what it does, if that is said.
var usageLine = regexp.MustCompile(`^  holdfast \[?(\w+)\]?(?: \S+)*(?:  +(\S.*))?$`)

// parseUsage reads the list of commands.
func parseUsage(text string) (intro string, commands []command) {
	intro, _, _ = strings.Cut(text, "\n")
	for line := range strings.Lines(text) {
		if m := usageLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			commands = append(commands, command{name: m[1], summary: m[2]})
		}
	}
	if n := strings.Count(text, "\n  holdfast "); n < 5 || n != len(commands) {
		log.Fatalf("%d of %d commands were understood in\n%s", len(commands), n, text)
	}
	return intro, commands
}

var flagLine = regexp.MustCompile(`(?m)^  -(\S+)(?: (\S+))?\n    \t(.*)$`)

// parseFlags reads what a command's -h prints.
func parseFlags(text string) (arguments string, flags []option) {
	first, rest, _ := strings.Cut(text, "\n")
	_, arguments, _ = strings.Cut(first, " [flags]")
	for _, m := range flagLine.FindAllStringSubmatch(rest, -1) {
		flags = append(flags, option{m[1], m[2], m[3]})
	}
	if n := strings.Count("\n"+rest, "\n  -"); n != len(flags) {
		log.Fatalf("%d of %d flags were understood in\n%s", len(flags), n, text)
	}
	return strings.TrimSpace(arguments), flags
}

func manPage(intro, version string, commands []command) string {
	date := time.Now()
	if s := os.Getenv("SOURCE_DATE_EPOCH"); s != "" {
		var n int64
		if _, err := fmt.Sscan(s, &n); err != nil {
			log.Fatal("SOURCE_DATE_EPOCH: ", err)
		}
		date = time.Unix(n, 0)
	}
	esc := func(s string) string {
		s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
		if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
			s = `\&` + s
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".TH HOLDFAST 1 %q %q \"User Commands\"\n", date.UTC().Format("2006-01-02"), "holdfast "+version)
	fmt.Fprintf(&b, ".SH NAME\nholdfast \\- reverse proxy that adds push to a web app\n.SH SYNOPSIS\n")
	for _, c := range commands {
		fmt.Fprintf(&b, ".B holdfast %s\n%s\n.br\n", c.name, esc(strings.TrimSpace("[flags] "+c.arguments)))
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n.SH COMMANDS\n", esc(intro))
	for _, c := range commands {
		fmt.Fprintf(&b, ".SS %s\n%s\n", strings.TrimSpace(c.name+" "+esc(c.arguments)), esc(c.summary))
		for _, f := range c.flags {
			fmt.Fprintf(&b, ".TP\n.B \\-%s\n%s\n", strings.TrimSpace(esc(f.name)+" "+esc(f.value)), esc(f.text))
		}
	}
	fmt.Fprint(&b, ".SH FILES\n.TP\n/etc/holdfast/config.yaml\nthe configuration of the service\n"+
		".TP\n/usr/share/doc/holdfast/configuration.md\nits keys\n")
	return b.String()
}

// words are the names that may follow the program's.
func words(commands []command) string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return strings.Join(names, " ")
}

func bash(commands []command) string {
	var b strings.Builder
	b.WriteString("# bash completion for holdfast\n_holdfast() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n\tCOMPREPLY=()\n")
	fmt.Fprintf(&b, "\tif [ \"$COMP_CWORD\" -eq 1 ] && [ \"${cur#-}\" = \"$cur\" ]; then\n\t\tCOMPREPLY=($(compgen -W %q -- \"$cur\"))\n\t\treturn\n\tfi\n", words(commands))
	b.WriteString("\tcase ${COMP_WORDS[1]} in\n")
	for _, c := range commands {
		if len(c.flags) == 0 {
			continue
		}
		pattern := c.name
		if c.name == "run" {
			pattern = "run | -*"
		}
		var flags []string
		for _, f := range c.flags {
			flags = append(flags, "-"+f.name)
		}
		fmt.Fprintf(&b, "\t%s) words=%q ;;\n", pattern, strings.Join(flags, " "))
	}
	b.WriteString("\tesac\n\tcase $cur in\n\t-*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n\t*) compopt -o default ;;\n\tesac\n}\ncomplete -F _holdfast holdfast\n")
	return b.String()
}

func zsh(commands []command) string {
	quote := func(s string) string { return strings.ReplaceAll(s, "'", "'\\''") }
	label := func(s string) string { return quote(strings.NewReplacer("[", "(", "]", ")", ":", `\:`).Replace(s)) }
	var b strings.Builder
	b.WriteString("#compdef holdfast\n\nlocal -a commands\ncommands=(\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "\t'%s:%s'\n", c.name, label(c.summary))
	}
	b.WriteString(")\nif (( CURRENT == 2 )); then\n\t_describe command commands\n\treturn\nfi\ncase $words[2] in\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "%s)\n\t_arguments", c.name)
		for _, f := range c.flags {
			value := ""
			if f.value != "" {
				value = ":" + f.value + ":_files"
			}
			fmt.Fprintf(&b, " \\\n\t\t'-%s[%s]%s'", f.name, label(f.text), value)
		}
		b.WriteString(" \\\n\t\t'*:file:_files'\n\t;;\n")
	}
	b.WriteString("esac\n")
	return b.String()
}

func fish(commands []command) string {
	quote := func(s string) string { return strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) }
	var b strings.Builder
	b.WriteString("# fish completion for holdfast\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c holdfast -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, quote(c.summary))
		for _, f := range c.flags {
			value := ""
			if f.value != "" {
				value = " -r"
			}
			fmt.Fprintf(&b, "complete -c holdfast -n '__fish_seen_subcommand_from %s' -o %s%s -d '%s'\n", c.name, f.name, value, quote(f.text))
		}
	}
	return b.String()
}
