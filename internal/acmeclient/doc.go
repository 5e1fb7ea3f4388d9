// Package acmeclient requests certificates by ACME (RFC 8555) and renews them, for the names that the configuration has and
// for no others. It answers the challenges HTTP-01 and TLS-ALPN-01. Handshakes never wait for it: it writes files, from
// which the package certs reads.
package acmeclient
