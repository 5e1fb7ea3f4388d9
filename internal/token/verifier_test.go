package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "0123456789abcdef0123456789abcdef"

var (
	rsaKey, _      = rsa.GenerateKey(rand.Reader, 2048)
	_, edKey, _    = ed25519.GenerateKey(rand.Reader)
	_, otherKey, _ = ed25519.GenerateKey(rand.Reader)

	rsaPEM = pemOf("PUBLIC KEY", pkix(&rsaKey.PublicKey))
	edPEM  = pemOf("PUBLIC KEY", pkix(edKey.Public()))
)

func pkix(key any) []byte {
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return b
}

func pemOf(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// The signers are written out, so that the library is not its own judge.
func hs256(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return text + "." + enc(string(h.Sum(nil)))
}

func rs256(text string) string {
	sum := sha256.Sum256([]byte(text))
	b, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + enc(string(b))
}

func eddsa(key ed25519.PrivateKey, text string) string {
	return text + "." + enc(string(ed25519.Sign(key, []byte(text))))
}

func part(alg, claims string) string { return enc(`{"typ":"JWT","alg":"`+alg+`"}`) + "." + enc(claims) }

func verifier(t *testing.T, o Options) *Verifier {
	t.Helper()
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVerifyAccepts accepts a token of each algorithm and reads its claims.
func TestVerifyAccepts(t *testing.T) {
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	text := fmt.Sprintf(`{"sub":"anna","exp":%d,"channels":["a","b.*","c.**"]}`, ends.Unix())
	for name, tt := range map[string]struct {
		o    Options
		text string
	}{
		"HS256":  {Options{Secret: secret}, hs256(secret, part("HS256", text))},
		"RS256":  {Options{PublicKey: rsaPEM}, rs256(part("RS256", text))},
		"PKCS1":  {Options{PublicKey: pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))}, rs256(part("RS256", text))},
		"EdDSA":  {Options{PublicKey: edPEM}, eddsa(edKey, part("EdDSA", text))},
		"leeway": {Options{Secret: secret, Leeway: time.Minute}, hs256(secret, part("HS256", text))},
	} {
		got, err := verifier(t, tt.o).Verify(tt.text)
		if err != nil || got.User != "anna" || !got.ExpiresAt.Equal(ends.Add(tt.o.Leeway)) || !slices.Equal(got.Channels, []string{"a", "b.*", "c.**"}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestVerifyRejects has every way in which a token is invalid, and the error that the developer of the app gets.
func TestVerifyRejects(t *testing.T) {
	now := time.Now().Unix()
	claims := func(more string) string { return fmt.Sprintf(`{"sub":"anna","exp":%d%s}`, now+3600, more) }
	good := claims("")
	hs := hs256(secret, part("HS256", good))
	cut := strings.LastIndexByte(hs, '.')
	long := claims(`,"x":"` + strings.Repeat("a", maxToken) + `"`)
	signed := func(claims string) string { return hs256(secret, part("HS256", claims)) }
	hsV := Options{Secret: secret}
	for name, tt := range map[string]struct {
		o    Options
		text string
		want error
	}{
		"empty":                     {hsV, "", ErrMalformed},
		"nothing but dots":          {hsV, "..", ErrMalformed},
		"two parts":                 {hsV, hs[:cut], ErrMalformed},
		"four parts":                {hsV, hs + ".a", ErrMalformed},
		"not base64":                {hsV, "!!!." + hs, ErrMalformed},
		"padding":                   {hsV, hs + "=", ErrMalformed},
		"standard base64":           {hsV, hs[:cut] + ".+/+/", ErrMalformed},
		"a line break":              {hsV, hs + "\n", ErrMalformed},
		"a space":                   {hsV, " " + hs, ErrMalformed},
		"bits that mean nothing":    {hsV, hs[:len(hs)-1] + string(next(hs[len(hs)-1])), ErrMalformed},
		"header is no object":       {hsV, hs256(secret, enc(`[]`)+"."+enc(good)), ErrMalformed},
		"claims are no JSON":        {hsV, signed(`{`), ErrMalformed},
		"claims are null":           {hsV, signed(`null`), ErrNoExpiry},
		"too long":                  {hsV, signed(long), ErrTooLong},
		"none":                      {hsV, part("none", good) + ".", ErrAlgorithm},
		"none in capitals":          {hsV, part("NONE", good) + ".", ErrAlgorithm},
		"none for RSA":              {Options{PublicKey: rsaPEM}, part("none", good) + ".", ErrAlgorithm},
		"no algorithm":              {hsV, hs256(secret, enc(`{"typ":"JWT"}`)+"."+enc(good)), ErrAlgorithm},
		"HS512":                     {hsV, hs256(secret, part("HS512", good)), ErrAlgorithm},
		"HS256 of the public PEM":   {Options{PublicKey: rsaPEM}, hs256(string(rsaPEM), part("HS256", good)), ErrAlgorithm},
		"HS256 of the public bytes": {Options{PublicKey: rsaPEM}, hs256(string(pkix(&rsaKey.PublicKey)), part("HS256", good)), ErrAlgorithm},
		"HS256 of the Ed25519 key":  {Options{PublicKey: edPEM}, hs256(string(edKey.Public().(ed25519.PublicKey)), part("HS256", good)), ErrAlgorithm},
		"HMAC that says RS256":      {Options{PublicKey: rsaPEM}, hs256(string(rsaPEM), part("RS256", good)), ErrSignature},
		"RS256 for Ed25519":         {Options{PublicKey: edPEM}, rs256(part("RS256", good)), ErrAlgorithm},
		"no signature":              {hsV, hs[:cut+1], ErrSignature},
		"another secret":            {hsV, hs256(secret+"x", part("HS256", good)), ErrSignature},
		"another key":               {Options{PublicKey: edPEM}, eddsa(otherKey, part("EdDSA", good)), ErrSignature},
		"another's claims":          {hsV, part("HS256", claims(`,"channels":["**"]`)) + hs[cut:], ErrSignature},
		"expired and forged":        {hsV, hs256("x", part("HS256", `{"exp":1}`)), ErrSignature},
		"crit":                      {hsV, hs256(secret, enc(`{"alg":"HS256","crit":["b64"],"b64":false}`)+"."+enc(good)), ErrCritical},
		"no exp":                    {hsV, signed(`{"sub":"anna"}`), ErrNoExpiry},
		"exp is text":               {hsV, signed(`{"exp":"soon"}`), ErrMalformed},
		"exp is a number as text":   {hsV, signed(fmt.Sprintf(`{"exp":"%d"}`, now+9)), ErrMalformed},
		"exp is not a number":       {hsV, signed(`{"exp":"NaN"}`), ErrMalformed},
		"exp has no end":            {hsV, signed(`{"exp":"Infinity"}`), ErrMalformed},
		"exp is NaN":                {hsV, signed(`{"exp":NaN}`), ErrMalformed},
		"exp is null":               {hsV, signed(`{"exp":null}`), ErrNoExpiry},
		"exp in capitals":           {hsV, signed(fmt.Sprintf(`{"EXP":%d}`, now+9)), ErrNoExpiry},
		"exp twice":                 {hsV, signed(fmt.Sprintf(`{"exp":%d,"exp":%d}`, now-9, now+9)), ErrMalformed},
		"sub twice, once escaped":   {hsV, signed(claims(`,"sub":"a","s\u0075b":"b"`)), ErrMalformed},
		"channels twice":            {hsV, signed(claims(`,"channels":["a"],"channels":["**"]`)), ErrMalformed},
		"claims with more behind":   {hsV, signed(claims(``) + "{}"), ErrMalformed},
		"claims are not UTF-8":      {hsV, signed(claims(",\"x\":\"\xff\"")), ErrMalformed},
		"header with alg twice":     {hsV, hs256(secret, enc(`{"alg":"none","alg":"HS256"}`)+"."+enc(good)), ErrMalformed},
		"nbf is text":               {hsV, signed(fmt.Sprintf(`{"exp":%d,"nbf":"1"}`, now+9)), ErrMalformed},
		"iat is text":               {hsV, signed(fmt.Sprintf(`{"exp":%d,"iat":"1"}`, now+9)), ErrMalformed},
		"expired":                   {hsV, signed(fmt.Sprintf(`{"exp":%d}`, now-1)), ErrExpired},
		"expired beyond leeway":     {Options{Secret: secret, Leeway: 30 * time.Second}, signed(fmt.Sprintf(`{"exp":%d}`, now-31)), ErrExpired},
		"not yet":                   {hsV, signed(claims(fmt.Sprintf(`,"nbf":%d`, now+100))), ErrNotYet},
		"from the future":           {hsV, signed(claims(fmt.Sprintf(`,"iat":%d`, now+100))), ErrFuture},
		"no issuer":                 {Options{Secret: secret, Issuer: "me"}, hs, ErrIssuer},
		"another issuer":            {Options{Secret: secret, Issuer: "me"}, signed(claims(`,"iss":"you"`)), ErrIssuer},
		"no audience":               {Options{Secret: secret, Audience: "me"}, hs, ErrAudience},
		"another audience":          {Options{Secret: secret, Audience: "me"}, signed(claims(`,"aud":["you","them"]`)), ErrAudience},
		"half of a character":       {hsV, signed(fmt.Sprintf(`{"exp":%d,"sub":"a\ud800"}`, now+9)), ErrMalformed},
		"user is a number":          {hsV, signed(claims(`,"sub":7`)), ErrMalformed},
		"user is long":              {hsV, signed(fmt.Sprintf(`{"exp":%d,"sub":%q}`, now+9, strings.Repeat("a", 256))), ErrClaim},
		"user with a line end":      {hsV, signed(fmt.Sprintf(`{"exp":%d,"sub":"a\nb"}`, now+9)), ErrClaim},
		"channels is text":          {hsV, signed(claims(`,"channels":"**"`)), ErrMalformed},
		"a channel is null":         {hsV, signed(claims(`,"channels":[null]`)), ErrMalformed},
		"a channel is no pattern":   {Options{Secret: secret, ValidPattern: func(string) error { return errors.New("no") }}, signed(claims(`,"channels":["a"]`)), ErrClaim},
	} {
		got, err := verifier(t, tt.o).Verify(tt.text)
		if !errors.Is(err, tt.want) || got.User != "" || got.Channels != nil {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// next is a character with the same bits but for the lowest, which a last character of 43 does not use.
func next(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// TestTimes are exact, with the leeway on the client's side.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		text := hs256(secret, part("HS256", fmt.Sprintf(`{"nbf":%d,"iat":%d,"exp":%d}`, now+60, now+60, now+120)))
		v := verifier(t, Options{Secret: secret, Leeway: 30 * time.Second})
		want := func(after time.Duration, want error) {
			t.Helper()
			time.Sleep(after)
			if _, err := v.Verify(text); !errors.Is(err, want) {
				t.Errorf("%v; want %v", err, want)
			}
		}
		want(0, ErrNotYet)
		want(30*time.Second-1, ErrNotYet)
		want(1, nil)
		want(120*time.Second-1, nil)
		want(1, ErrExpired)
	})
}

// TestChannels tells a token that opens nothing from one that does not say.
func TestChannels(t *testing.T) {
	v := verifier(t, Options{Secret: secret, Issuer: "me", Audience: "us"})
	for more, want := range map[string][]string{``: nil, `,"channels":null`: nil, `,"channels":[]`: {}, `,"channels":["a"]`: {"a"}} {
		text := hs256(secret, part("HS256", fmt.Sprintf(`{"exp":%d,"iss":"me","aud":"us"%s}`, time.Now().Unix()+1e9, more)))
		got, err := v.Verify(text)
		if err != nil || !slices.Equal(got.Channels, want) || (got.Channels == nil) != (want == nil) || time.Until(got.ExpiresAt) > maxAge {
			t.Errorf("%s: %+v, %v", more, got, err)
		}
	}
}

// TestKeys: what is no good key, and that none is shown.
func TestKeys(t *testing.T) {
	small := rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2046, 1), E: 65537}
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	private, _ := x509.MarshalPKCS8PrivateKey(edKey)
	for name, o := range map[string]Options{
		"none":         {},
		"short":        {Secret: secret[1:]},
		"both":         {Secret: secret, PublicKey: edPEM},
		"no PEM":       {PublicKey: []byte(secret)},
		"small RSA":    {PublicKey: pemOf("PUBLIC KEY", pkix(&small))},
		"a curve":      {PublicKey: pemOf("PUBLIC KEY", pkix(&curve.PublicKey))},
		"private":      {PublicKey: pemOf("PRIVATE KEY", private)},
		"two":          {PublicKey: slices.Concat(edPEM, rsaPEM)},
		"broken":       {PublicKey: pemOf("PUBLIC KEY", []byte(secret))},
		"another kind": {PublicKey: pemOf("CERTIFICATE", pkix(edKey.Public()))},
	} {
		v, err := New(o)
		if v != nil || !errors.Is(err, ErrKey) || strings.Contains(err.Error(), secret[1:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
