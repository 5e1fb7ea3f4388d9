package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// FuzzVerify: whatever is taken was signed as it stands, and says when it ends.
func FuzzVerify(f *testing.F) {
	v, err := New(Options{Secret: secret})
	if err != nil {
		f.Fatal(err)
	}
	good := part("HS256", fmt.Sprintf(`{"exp":%d,"sub":"a","channels":["a.*"]}`, time.Now().Unix()+1e6))
	for _, head := range []string{good, part("none", `{"exp":1e18}`), part("HS256", `{"exp":1e300}`), "e30.e30", ".", part("HS256", `{"exp":-1e300,"iat":1e9}`)} {
		f.Add(head, true)
		f.Add(head, false)
	}
	f.Fuzz(func(t *testing.T, text string, sign bool) {
		if sign {
			text = hs256(secret, text)
		}
		token, err := v.Verify(text)
		if err != nil {
			if token.Channels != nil || token.User != "" {
				t.Errorf("%+v, %v", token, err)
			}
			return
		}
		i := strings.LastIndexByte(text, '.')
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(text[:i]))
		if text[i+1:] != base64.RawURLEncoding.EncodeToString(h.Sum(nil)) {
			t.Errorf("%q was not signed", text)
		}
		if left := time.Until(token.ExpiresAt); left <= 0 || left > maxAge {
			t.Errorf("%q is good for %v", text, left)
		}
	})
}
