// Package http1 has what RFC 9112 and RFC 9110 say of bytes: the grammar of fields, heads, bodies, paths and hosts. It
// does no I/O and waits for nothing. All that reads or writes HTTP by hand takes its rules from here.
package http1
