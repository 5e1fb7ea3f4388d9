// Package peer starts each server of the benchmark in the same way: on free ports of 127.0.0.1, with a configuration
// of its own in a temporary folder, and stops it by its process id. What is set for one peer and not for another is
// explained in the README.
package peer
