package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestNamedKeys: a token is checked with the key that it names, by that key's algorithm, and with no other.
func TestNamedKeys(t *testing.T) {
	const old, other = "11111111111111111111111111111111", "22222222222222222222222222222222"
	claims := fmt.Sprintf(`{"sub":"anna","exp":%d}`, time.Now().Add(time.Hour).Unix())
	named := func(alg, kid string) string { return enc(`{"alg":"`+alg+`","kid":`+kid+`}`) + "." + enc(claims) }
	keys := map[string]Key{"old": {Secret: old}, "rsa": {PublicKey: rsaPEM}, "ed": {PublicKey: edPEM}}
	several, all := Options{Keys: keys}, Options{Secret: secret, Keys: keys}
	for name, tt := range map[string]struct {
		o    Options
		text string
		want error
	}{
		"HS256":                           {several, hs256(old, named("HS256", `"old"`)), nil},
		"RS256":                           {several, rs256(named("RS256", `"rsa"`)), nil},
		"EdDSA":                           {several, eddsa(edKey, named("EdDSA", `"ed"`)), nil},
		"no kid":                          {several, hs256(old, part("HS256", claims)), ErrNoKeyID},
		"no kid, one key for that":        {all, hs256(secret, part("HS256", claims)), nil},
		"no kid, a named key":             {all, hs256(old, part("HS256", claims)), ErrSignature},
		"kid, the key for none":           {all, hs256(secret, named("HS256", `"old"`)), ErrSignature},
		"kid beside one key":              {Options{Secret: secret}, hs256(secret, named("HS256", `"any"`)), nil},
		"unknown kid":                     {all, hs256(secret, named("HS256", `"new"`)), ErrKeyID},
		"unknown kid and algorithm":       {several, hs256(old, named("HS512", `"new"`)), ErrKeyID},
		"empty kid":                       {all, hs256(secret, named("HS256", `""`)), ErrKeyID},
		"kid is a number":                 {all, hs256(secret, named("HS256", `1`)), ErrKeyID},
		"kid is null":                     {all, hs256(secret, named("HS256", `null`)), ErrKeyID},
		"kid in other letters":            {several, hs256(old, named("HS256", `"OLD"`)), ErrKeyID},
		"kid of another key":              {several, hs256(other, named("HS256", `"old"`)), ErrSignature},
		"HS256 of a public PEM":           {several, hs256(string(rsaPEM), named("HS256", `"rsa"`)), ErrAlgorithm},
		"HS256 of a public key":           {several, hs256(string(edKey.Public().(ed25519.PublicKey)), named("HS256", `"ed"`)), ErrAlgorithm},
		"RS256 where the secret is named": {several, rs256(named("RS256", `"old"`)), ErrAlgorithm},
		"EdDSA where RSA is named":        {several, eddsa(edKey, named("EdDSA", `"rsa"`)), ErrAlgorithm},
		"none":                            {several, named("none", `"old"`) + ".", ErrAlgorithm},
		"another HMAC":                    {several, hs256(old, named("HS512", `"old"`)), ErrAlgorithm},
	} {
		if g, err := verifier(t, tt.o).Verify(tt.text); !errors.Is(err, tt.want) || (err == nil) != (g.User == "anna") {
			t.Errorf("%s: %+v, %v; want %v", name, g, err, tt.want)
		}
	}
	for name, o := range map[string]Options{
		"short secret":    {Keys: map[string]Key{"a": {Secret: "short"}}},
		"empty":           {Keys: map[string]Key{"a": {}}},
		"two in one":      {Keys: map[string]Key{"a": {Secret: old, PublicKey: rsaPEM}}},
		"one of two":      {Keys: map[string]Key{"a": {Secret: old}, "b": {PublicKey: []byte("x")}}},
		"PEM as a secret": {Keys: map[string]Key{"a": {Secret: string(rsaPEM)}}},
		"beside a bad":    {Secret: "short", Keys: map[string]Key{"a": {Secret: old}}},
	} {
		if _, err := New(o); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
