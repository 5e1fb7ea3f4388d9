// Package metric writes metrics in the Prometheus text format, each name with its HELP and TYPE. The table of families is
// the one list of what Holdfast exports.
package metric
