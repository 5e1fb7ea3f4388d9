package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/token"
)

// TestKeyFiles: the name of a key's file is its kid, a secret's last line end is none of it, and what is wrong with a file
// keeps Holdfast from starting, without a word of what is in it.
func TestKeyFiles(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, recent := file("2026-11.secret", secret+"\n"), file("2026-12.secret", strings.ToUpper(secret)+"\r\n")
	v, err := newVerifier(&config.JWT{Keys: []string{old, recent}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kid, secret string
		want        error
	}{
		{"2026-11", secret, nil}, {"2026-12", strings.ToUpper(secret), nil}, {"2026-12", secret, token.ErrSignature},
		{"2026-10", secret, token.ErrKeyID}, {"2026-11.secret", secret, token.ErrKeyID},
	} {
		enc := base64.RawURLEncoding.EncodeToString
		text := enc(fmt.Appendf(nil, `{"alg":"HS256","kid":%q}`, tt.kid)) + "." +
			enc(fmt.Appendf(nil, `{"sub":"anna","exp":%d}`, time.Now().Add(time.Hour).Unix()))
		h := hmac.New(sha256.New, []byte(tt.secret))
		h.Write([]byte(text))
		if _, err := v.Verify(text + "." + enc(h.Sum(nil))); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.kid, err, tt.want)
		}
	}
	for _, bad := range []string{
		filepath.Join(dir, "none.pem"), file("a.pem", secret), file("short.secret", "s3cret"), file("empty.secret", ""),
		file("b.secret", "-----BEGIN PUBLIC KEY-----\n"+secret+"\n-----END PUBLIC KEY-----\n"),
	} {
		_, err := newVerifier(&config.JWT{Keys: []string{old, bad}})
		if err == nil || !strings.HasPrefix(err.Error(), "push.jwt.keys: ") || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", filepath.Base(bad), err)
		}
	}
}
