// Package warnings tells what a valid configuration likely is not meant to do: each function returns a sentence for each
// such thing.
package warnings
