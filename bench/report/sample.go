// Package report turns figures into tables and plots.
package report

import (
	"math"
	"slices"
)

// Sample is values of one quantity.
type Sample []float64

// Quantile returns the least value that at least q of the sample does not exceed (nearest rank); NaN if empty.
func (s Sample) Quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median returns the middle value, or the mean of the two; NaN if empty.
func (s Sample) Median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Min and Max are NaN if the sample is empty.
func (s Sample) Min() float64 { return s.Quantile(0) }
func (s Sample) Max() float64 { return s.Quantile(1) }
