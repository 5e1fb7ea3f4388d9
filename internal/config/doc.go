// Package config reads config.yaml into one validated struct. It is strict: a key it does not
// know, a key given twice or a value outside its range is an error that names file, line and
// column, and every such error in a file is reported at once. config.yaml at the top of the tree
// is the reference manual: every key with its default, its unit and its reason.
//
// # Sizes and durations
//
// A duration has its unit, as in 25s, 10m or 1h30m. A size is a number of bytes with an optional
// unit; KB and KiB are both 1024 bytes, as nginx's k is.
package config
