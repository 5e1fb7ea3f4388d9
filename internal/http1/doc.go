// Package http1 has the grammar of RFC 9112 and RFC 9110: fields, heads, bodies, paths and hosts. It does no I/O. All
// code that reads or writes HTTP without fasthttp uses it.
package http1
