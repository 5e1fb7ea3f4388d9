// Package wiretest has the helpers of tests at the wire: raw bytes in, raw bytes out, and an upstream
// that keeps what it was really sent.
package wiretest
