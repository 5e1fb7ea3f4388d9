//go:build e2e && linux

package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// startGitServer runs git http-backend behind Apache's mod_cgi with an empty repository for each name, and
// returns its address. Its repositories are at /git/NAME.
func startGitServer(t *testing.T, page *appPage, names ...string) string {
	t.Helper()
	program(t, "/usr/lib/git-core/git-http-backend", "git")
	dir := publicTempDir(t)
	writeFile(t, filepath.Join(dir, ".gitconfig"), "[safe]\n\tdirectory = *\n[http]\n\treceivepack = true\n")
	for _, name := range names {
		repo := filepath.Join(dir, "git", name)
		run(t, exec.Command("git", "init", "--quiet", "--bare", "--initial-branch=main", repo))
		err := filepath.WalkDir(repo, func(file string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(file, 0o777) // the workers of Apache write there
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		writeScript(t, filepath.Join(repo, "hooks/post-receive"), page.code(t, "bash", "#!/bin/sh")+"\n")
	}
	return startApache(t, dir, dir, strings.Replace(page.code(t, "apache", "LoadModule"), "/srv/git", dir+"/git", 1)+"\nSetEnv HOME "+dir+"\n")
}

// TestAppGit pushes to a git server over smart HTTP and clones from it.
func TestAppGit(t *testing.T) {
	page := newAppPage(t, "docs/how-to/git.md")
	behindBoth(t, page, startGitServer(t, page, "nginx", "holdfast"), func(t *testing.T, url string) {
		testGit(t, url+"/git/"+path.Base(t.Name()))
	}, func(t *testing.T, h *holdfast) {
		c := holdSSE(t, newVisitor(t, h.url), "public.git")
		mine := filepath.Join(t.TempDir(), "mine")
		run(t, exec.Command("git", "clone", "--quiet", h.url+"/git/holdfast", mine))
		run(t, exec.Command("git", "-C", mine, "-c", "user.name=Zoë", "-c", "user.email=zoe@localhost", "commit", "--quiet", "--allow-empty", "--message", "One more"))
		run(t, exec.Command("git", "-C", mine, "push", "--quiet", "origin", "main"))
		head := strings.TrimSpace(run(t, exec.Command("git", "-C", mine, "rev-parse", "HEAD")))
		if got := c.receive(t); got != "refs/heads/main "+head {
			t.Errorf("received %q, want the ref and %s", got, head)
		}
	})
}

func testGit(t *testing.T, remote string) {
	dir := t.TempDir()
	git := func(where string, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = filepath.Join(dir, where)
		cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_TERMINAL_PROMPT=0", "GIT_TRACE_CURL=1", "GIT_TRACE_CURL_NO_DATA=1", "no_proxy=*",
			"GIT_AUTHOR_NAME=Zoë", "GIT_AUTHOR_EMAIL=zoe@localhost", "GIT_COMMITTER_NAME=Zoë", "GIT_COMMITTER_EMAIL=zoe@localhost")
		return run(t, cmd)
	}
	wantSent := func(trace, header string) {
		t.Helper()
		if !strings.Contains(strings.ToLower(trace), header) {
			t.Errorf("git sent no %q", header)
		}
	}
	git("", "init", "--quiet", "--initial-branch=main", "mine")
	content := make([]byte, 5_000_000) // git sends more than 1 MB in chunks
	rand.NewChaCha8([32]byte{'g', 'i', 't'}).Read(content)
	writeFile(t, filepath.Join(dir, "mine", imageName), string(content))
	git("mine", "add", ".")
	git("mine", "commit", "--quiet", "--message", "Add an image")
	for i := range 60 { // so many that git compresses the request that names them
		git("mine", "commit", "--quiet", "--allow-empty", "--message", fmt.Sprint("Commit ", i))
		git("mine", "branch", fmt.Sprint("branch-", i))
	}
	trace := git("mine", "push", "--quiet", "--all", remote)
	wantSent(trace, "transfer-encoding: chunked")

	trace = git("", "clone", "--quiet", remote, "theirs")
	wantSent(trace, "content-encoding: gzip")
	wantContent := func() {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(dir, "theirs", imageName))
		if err != nil || string(got) != string(content) {
			t.Errorf("the clone has %d other bytes, %v", len(got), err)
		}
		mine, theirs := git("mine", "rev-parse", "HEAD"), git("theirs", "rev-parse", "HEAD")
		if mine != theirs {
			t.Errorf("the clone is at %s, want %s", theirs, mine)
		}
	}
	wantContent()

	content = content[:100_000]
	writeFile(t, filepath.Join(dir, "mine", imageName), string(content))
	git("mine", "commit", "--quiet", "--all", "--message", "Cut the image")
	git("mine", "push", "--quiet", remote, "main")
	git("theirs", "pull", "--quiet")
	wantContent()
	git("theirs", "fsck", "--full")
}
