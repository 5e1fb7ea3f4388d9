// Package token checks tokens that an app has signed: JSON Web Tokens (RFC 7519) in compact form, of the one algorithm
// that the key is for. HS256 goes with a secret, RS256 and EdDSA with a public key, and "none" with nothing.
//
// The signature is checked before the claims are read. Errors are sentinels that tell the app's developer what to
// correct; none quotes the token.
package token
