//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/config"
)

// image is a stage of a Dockerfile whose instructions are carried out in a folder, not in a
// container.
type image struct {
	from       string
	root       string // the folder that stands for /
	workdir    string
	user       string
	entrypoint []string
	cmd        []string
}

func (i *image) path(p string) string {
	if !path.IsAbs(p) {
		p = path.Join(i.workdir, p)
	}
	return filepath.Join(i.root, p)
}

// instructions returns the instructions of a Dockerfile as name and rest.
func instructions(t *testing.T, file string) [][2]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list [][2]string
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		list = append(list, [2]string{name, strings.TrimSpace(rest)})
	}
	return list
}

// replay carries out the Dockerfile on the files of context and returns its last stage.
func replay(t *testing.T, file, context string) *image {
	t.Helper()
	stages := map[string]*image{"": {root: context}}
	var stage *image
	for _, instruction := range instructions(t, file) {
		name, rest := instruction[0], instruction[1]
		words := strings.Fields(rest)
		switch name {
		case "FROM":
			stage = &image{from: words[0], root: publicTempDir(t), workdir: "/"}
			if len(words) == 3 && words[1] == "AS" {
				stages[words[2]] = stage
			}
		case "WORKDIR":
			stage.workdir = rest
			if err := os.MkdirAll(stage.path(""), 0o755); err != nil {
				t.Fatal(err)
			}
		case "COPY":
			source := stages[""]
			if from, ok := strings.CutPrefix(words[0], "--from="); ok {
				source, words = stages[from], words[1:]
			}
			stage.copyFrom(t, source, words[:len(words)-1], words[len(words)-1])
		case "RUN":
			cmd := exec.Command("sh", "-ec", rest)
			cmd.Dir = stage.path("")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", rest, err, out)
			}
		case "USER":
			stage.user = rest
		case "ENTRYPOINT":
			stage.entrypoint = execForm(t, rest)
		case "CMD":
			stage.cmd = execForm(t, rest)
		case "EXPOSE":
		default:
			t.Fatalf("the test cannot replay %s", name)
		}
	}
	return stage
}

func execForm(t *testing.T, s string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &words); err != nil {
		t.Fatalf("%s: %v; a bare image has no shell, so it wants the JSON form", s, err)
	}
	return words
}

func (i *image) copyFrom(t *testing.T, source *image, files []string, to string) {
	t.Helper()
	for _, file := range files {
		from, dest := source.path(file), i.path(to)
		info, err := os.Stat(from)
		if err != nil {
			t.Fatalf("COPY: %v", err)
		}
		if info.IsDir() {
			err = copyTree(dest, from) // COPY copies what is in a folder, not the folder
		} else {
			if len(files) > 1 || strings.HasSuffix(to, "/") {
				dest = filepath.Join(dest, filepath.Base(file))
			}
			err = copyFile(dest, from, info.Mode())
		}
		if err != nil {
			t.Fatalf("COPY %s %s: %v", file, to, err)
		}
	}
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || file == from {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		if name = filepath.Join(to, name); !entry.IsDir() {
			return copyFile(name, file, info.Mode())
		}
		if err := os.MkdirAll(name, 0o755); err != nil {
			return err
		}
		return os.Chmod(name, info.Mode())
	})
}

func copyFile(to, from string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}

// command runs the image's entry point as Docker does: as its user, and with nothing to see but
// its own files.
func (i *image) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	var uid, gid uint32
	if _, err := fmt.Sscanf(i.user, "%d:%d", &uid, &gid); err != nil {
		t.Fatalf("USER %s: %v", i.user, err)
	}
	args = append(slices.Clone(i.entrypoint), args...)
	return &exec.Cmd{
		Path: args[0],
		Args: args,
		Dir:  "/",
		Env:  []string{"PATH=/bin"},
		SysProcAttr: &syscall.SysProcAttr{
			Chroot:     i.root,
			Credential: &syscall.Credential{Uid: uid, Gid: gid},
		},
	}
}

// sourceFiles copies what a checkout has: the files that git knows or would take.
func sourceFiles(t *testing.T) string {
	t.Helper()
	git := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = repository
	out, err := git.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	dir := t.TempDir()
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		from := filepath.Join(repository, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err == nil {
			err = copyFile(filepath.Join(dir, name), from, info.Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDockerfile builds the image's files as its Dockerfile says, and runs them.
func TestDockerfile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test has to be run by root, which may change its root folder and its user as Docker does")
	}
	img := replay(t, filepath.Join(repository, "Dockerfile"), sourceFiles(t))
	if img.from != "scratch" || img.user != "65534:65534" {
		t.Errorf("the image is made from %s for user %s", img.from, img.user)
	}
	var names []string
	err := fs.WalkDir(os.DirFS(img.root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil || !slices.Equal(names, []string{"config.yaml", "etc/ssl/certs/ca-certificates.crt", "holdfast"}) {
		t.Errorf("the image has the files %q, %v", names, err)
	}

	t.Run("check accepts the configuration that is shipped", func(t *testing.T) {
		if out, err := img.command(t, "check", "-config", "/config.yaml").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("the configuration that is shipped listens where a port can be published", func(t *testing.T) {
		c, err := config.Load(img.path("/config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if c.Listen.String() != ":8080" || c.Hooks.Listen.Address != "127.0.0.1:9090" {
			t.Errorf("it listens on %s, and for the API on %s", c.Listen, c.Hooks.Listen.Address)
		}
	})
	t.Run("a request passes through", func(t *testing.T) {
		app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "the app saw %s", r.URL.Path)
		}))
		listen, hooks := freeAddr(t), freeAddr(t)
		writeFile(t, img.path("config.yaml"), fmt.Sprintf("listen: %s\nupstream: %s\nhooks:\n  listen: %s\n", listen, app, hooks))
		h := startHoldfastCommand(t, img.command(t, img.cmd...), listen, hooks)
		newVisitor(t, h.url).get("/parcel").wantText(t, "the app saw /parcel")

		status, err := os.ReadFile("/proc/" + strconv.Itoa(h.cmd.Process.Pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(status), "\nUid:\t65534\t65534\t65534\t65534\n") {
			t.Errorf("it does not run as the image's user:\n%s", status)
		}
	})
	t.Run("an upstream with TLS is verified by the image's CAs, and bodies have a folder", func(t *testing.T) {
		cert := newCertificate(t, t.TempDir())
		pem := img.path("etc/ssl/certs/ca-certificates.crt")
		if data := string(readFile(t, pem)); strings.Count(data, "BEGIN CERTIFICATE") < 50 {
			t.Errorf("the image has %d CAs", strings.Count(data, "BEGIN CERTIFICATE"))
		}
		pair, err := tls.LoadX509KeyPair(cert, cert)
		if err != nil {
			t.Fatal(err)
		}
		app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d bytes, %v", n, err)
		}))
		app.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		app.StartTLS()
		t.Cleanup(app.Close)
		writeFile(t, pem, string(readFile(t, cert)))
		listen, hooks := freeAddr(t), freeAddr(t)
		writeFile(t, img.path("config.yaml"), fmt.Sprintf("listen: %s\nupstream: %s\nhooks:\n  listen: %s\nbuffers: {request: 64KB}\n", listen, app.URL, hooks))
		h := startHoldfastCommand(t, img.command(t, img.cmd...), listen, hooks)
		const large = 1 << 20
		newVisitor(t, h.url).do(http.MethodPost, "/", nil, bytes.NewReader(make([]byte, large))).wantText(t, fmt.Sprint(large, " bytes, <nil>"))
	})
}
