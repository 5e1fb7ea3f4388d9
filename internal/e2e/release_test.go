//go:build e2e && linux

package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestReleaseIsReproducible makes what is published for two systems twice, from clones of the commit in two directories, with
// another mask, time zone and language: the same bytes, and in them all that belongs there. The other targets differ by GOOS
// and GOARCH only, and would take minutes.
func TestReleaseIsReproducible(t *testing.T) {
	first := makeRelease(t, filepath.Join(t.TempDir(), "a"), "umask 022; TZ=UTC LC_ALL=C")
	second := makeRelease(t, filepath.Join(t.TempDir(), "another folder"), "umask 077; TZ=Asia/Tokyo LC_ALL=C.UTF-8")
	sums := string(readFile(t, filepath.Join(first, "SHA256SUMS")))
	if other := string(readFile(t, filepath.Join(second, "SHA256SUMS"))); other != sums {
		t.Errorf("the checksums are\n%s\nand\n%s", sums, other)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	check.Dir = first
	run(t, check)
	checkListed(t, first, sums)
	for _, system := range []string{"linux", "windows"} {
		t.Run(system, func(t *testing.T) { checkRelease(t, first, system, runtime.GOARCH) })
	}
}

// makeRelease clones the commit to dir, runs .ci/release.sh there with settings of a shell, and returns the folder of what
// it has made.
func makeRelease(t *testing.T, dir, settings string) string {
	t.Helper()
	env := append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	clone := exec.Command("git", "clone", "-q", repository, dir)
	clone.Env = env
	run(t, clone)
	cmd := exec.Command("bash", "-c", settings+` exec .ci/release.sh`)
	cmd.Dir = dir
	cmd.Env = append(env, "ARCHES="+runtime.GOARCH, "TARGETS=linux/"+runtime.GOARCH+" windows/"+runtime.GOARCH)
	run(t, cmd)
	return filepath.Join(dir, "dist")
}

// checkListed: SHA256SUMS has each file, and there are the packages, the archives and their bills of materials.
func checkListed(t *testing.T, dir, sums string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, e := range entries {
		kinds[path.Ext(e.Name())]++
		if e.Name() != "SHA256SUMS" && !strings.Contains(sums, "  "+e.Name()+"\n") {
			t.Errorf("SHA256SUMS has no %s", e.Name())
		}
	}
	for kind, n := range map[string]int{".deb": 1, ".rpm": 1, ".gz": 1, ".zip": 1, ".json": 2} {
		if kinds[kind] != n {
			t.Errorf("there are %d files %s, want %d", kinds[kind], kind, n)
		}
	}
}

// checkRelease looks into the archive and the bill of materials of a system.
func checkRelease(t *testing.T, dir, system, arch string) {
	found, err := filepath.Glob(filepath.Join(dir, "holdfast-*-"+system+"-"+arch+".*"))
	if err != nil || len(found) != 2 {
		t.Fatalf("%q, %v", found, err)
	}
	archive, bill := found[0], found[1]
	if strings.HasSuffix(archive, ".json") {
		archive, bill = bill, archive
	}
	files, err := unpack(archive)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CHANGELOG.md", "LICENSE", "README.md", "config.yaml", "configuration.md"}
	name := "holdfast"
	if system == "windows" {
		name = "holdfast.exe"
	} else {
		want = append(want, "_holdfast", "holdfast.1.gz", "holdfast.bash", "holdfast.fish", "holdfast.service", "logrotate", "sysctl.conf")
	}
	for _, w := range append(want, name) {
		if len(files[w]) == 0 {
			t.Errorf("%s has no %s", filepath.Base(archive), w)
		}
	}
	if len(files) != len(want)+1 {
		t.Errorf("%s has %d files, want %d", filepath.Base(archive), len(files), len(want)+1)
	}
	info, err := buildinfo.Read(bytes.NewReader(files[name]))
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if set["GOOS"] != system || set["GOARCH"] != arch || set["CGO_ENABLED"] != "0" || set["-trimpath"] != "true" {
		t.Errorf("the program is built with %v", set)
	}
	if bytes.Contains(files[name], []byte(repository)) {
		t.Errorf("the program names %s", repository)
	}
	checkBill(t, readFile(t, bill), info)
	if system == "linux" {
		program := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(program, files[name], 0o755); err != nil {
			t.Fatal(err)
		}
		if out := run(t, exec.Command(program, "version")); !strings.Contains(out, " commit ") {
			t.Errorf("version says %s", out)
		}
	}
}

// checkBill: the bill of materials names the modules that the program has recorded itself, with their versions.
func checkBill(t *testing.T, data []byte, info *buildinfo.BuildInfo) {
	var bill struct {
		Format      string `json:"bomFormat"`
		SpecVersion string `json:"specVersion"`
		Metadata    struct {
			Component struct{ Name, Version, PURL string }
		}
		Components []struct{ Type, Name, Version, PURL string }
	}
	if err := json.Unmarshal(data, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.Format != "CycloneDX" || bill.SpecVersion < "1.4" || bill.Metadata.Component.Name != "holdfast" {
		t.Errorf("%s %s of %s", bill.Format, bill.SpecVersion, bill.Metadata.Component.Name)
	}
	var listed, recorded []string
	for _, c := range bill.Components {
		if c.Name != "std" { // of the Go release
			listed = append(listed, c.Name+" "+c.Version)
		}
		if !strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@"+c.Version) {
			t.Errorf("%s has the package URL %s", c.Name, c.PURL)
		}
	}
	for _, d := range info.Deps {
		recorded = append(recorded, d.Path+" "+d.Version)
	}
	slices.Sort(listed)
	slices.Sort(recorded)
	if len(recorded) < 5 || !slices.Equal(listed, recorded) {
		t.Errorf("listed are\n%q\nwant\n%q", listed, recorded)
	}
}

// unpack returns the files of an archive, which are all in one folder that is named as the archive. Programs are executable.
func unpack(archive string) (map[string][]byte, error) {
	files := map[string][]byte{}
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), ".zip")
	add := func(name string, mode os.FileMode, r io.Reader) error {
		data, err := io.ReadAll(r)
		dir, file := path.Split(name)
		if dir != base+"/" {
			return fmt.Errorf("%s is not in %s", name, base)
		}
		if isProgram := strings.TrimSuffix(file, ".exe") == "holdfast"; isProgram != (mode == 0o755) {
			return fmt.Errorf("%s has mode %v", name, mode)
		}
		files[file] = data
		return err
	}
	if strings.HasSuffix(archive, ".zip") {
		z, err := zip.OpenReader(archive)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		for _, f := range z.File {
			r, err := f.Open()
			if err == nil {
				err = errors.Join(add(f.Name, f.Mode().Perm(), r), r.Close())
			}
			if err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return files, nil
		}
		if err == nil {
			err = add(h.Name, h.FileInfo().Mode().Perm(), t)
		}
		if err != nil {
			return nil, err
		}
	}
}
