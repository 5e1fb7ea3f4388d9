package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/server"
)

// TestTokens: from a key in the file to a message, by HS256 and EdDSA, and no key in any log.
func TestTokens(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	enc := base64.RawURLEncoding.EncodeToString
	private := ed25519.NewKeyFromSeed([]byte(secret))
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.ToSlash(filepath.Join(t.TempDir(), "jwt.pem"))
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600); err != nil {
		t.Fatal(err)
	}
	for alg, tt := range map[string]struct {
		key  string
		sign func(text []byte) []byte
	}{
		"HS256": {"key: " + secret, func(text []byte) []byte {
			h := hmac.New(sha256.New, []byte(secret))
			h.Write(text)
			return h.Sum(nil)
		}},
		"EdDSA": {"key_file: '" + file + "'", func(text []byte) []byte { return ed25519.Sign(private, text) }},
	} {
		t.Run(alg, func(t *testing.T) {
			sign := func(more string) string {
				claims := fmt.Sprintf(`{"exp":%d%s}`, time.Now().Add(time.Hour).Unix(), more)
				text := enc([]byte(`{"alg":"`+alg+`"}`)) + "." + enc([]byte(claims))
				return text + "." + enc(tt.sign([]byte(text)))
			}
			c, err := config.Parse("test.yaml", []byte("listen: 127.0.0.1:0\nhooks: {listen: 127.0.0.1:0}\npush: {jwt: {"+tt.key+"}}\n"+
				"channels: [{match: 'user.{user}', access: token}, {match: 'orders.**', access: token}]\ntimeouts: {drain: 5s}\nlog: {level: debug}\n"))
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s, err := server.New(c, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			donec := make(chan error, 1)
			go func() { donec <- s.Serve(ctx) }()
			type result struct {
				out string
				err error
			}
			tailc := make(chan result, 1)
			go func() {
				out, _, err := do("", "tail", "-n", "2", "-token", sign(`,"sub":"anna","channels":["orders.*","user.anna"]`), "http://"+s.Addr().String(), "orders.7", "user.anna")
				tailc <- result{out, err}
			}()
			held(t, s)
			for _, channel := range []string{"orders.7", "user.anna"} {
				if _, _, err := do("hello", "publish", "-hooks", "http://"+s.HooksAddr().String(), channel); err != nil {
					t.Error(err)
				}
			}
			if r := <-tailc; r.err != nil || strings.Count(r.out, `"hello"`) != 2 {
				t.Errorf("%q, %v", r.out, r.err)
			}
			for channel, more := range map[string]string{
				"user.bert": `,"sub":"anna","channels":["**"]`, "orders.7": `,"sub":"anna"`, "user.anna": `,"channels":["orders.7"]`,
			} {
				if _, _, err := do("", "tail", "-token", sign(more), "http://"+s.Addr().String(), channel); err == nil || !strings.Contains(err.Error(), "403") {
					t.Errorf("%s with %s: %v", channel, more, err)
				}
			}
			cancel()
			if err := <-donec; err != nil {
				t.Error(err)
			}
			if strings.Contains(log.String(), secret) {
				t.Error("the key is in the log")
			}
		})
	}
}

// TestCheckReadsTheTokenKey, and shows none.
func TestCheckReadsTheTokenKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.ToSlash(filepath.Join(dir, name))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const secret = "0123456789abcdef0123456789abcdef"
	for _, tt := range []struct{ jwt, want string }{
		{"{key: " + secret + "}", ""},
		{"{key_file: '" + write("a.pem", secret) + "'}", "push.jwt.key_file: invalid key: not a PEM file"},
		{"{key_file: '" + filepath.ToSlash(filepath.Join(dir, "none")) + "'}", "push.jwt.key_file: open "},
	} {
		out, errs, err := do("", "check", "-config", write("c.yaml", "push: {jwt: "+tt.jwt+"}\nchannels: [{match: a, access: token}]\n"))
		said := out + errs
		if err != nil {
			said += err.Error()
		}
		if (err == nil) != (tt.want == "") || !strings.Contains(said, tt.want) || strings.Contains(said, secret) {
			t.Errorf("%s: %q", tt.jwt, said)
		}
	}
}
