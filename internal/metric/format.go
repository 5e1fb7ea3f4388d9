package metric

import (
	"strconv"
	"strings"
)

// Format is a format of metrics.
type Format uint8

const (
	Text        Format = iota // of Prometheus, version 0.0.4
	OpenMetrics               // version 1.0.0
)

// ContentType returns the value of the header.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// Negotiate returns the format that a client prefers, by the value of its Accept; Text if it accepts both alike, or neither.
func Negotiate(accept string) Format {
	text, open := 0.0, 0.0
	for element := range strings.SplitSeq(accept, ",") {
		kind, q := mediaRange(element)
		switch kind {
		case "application/openmetrics-text":
			open = max(open, q)
		case "text/plain", "text/*", "*/*":
			text = max(text, q)
		}
	}
	if open > text {
		return OpenMetrics
	}
	return Text
}

// mediaRange returns the type of an element of Accept, and its weight: 0 for a version that Holdfast does not write.
func mediaRange(element string) (kind string, q float64) {
	kind, parameters, _ := strings.Cut(element, ";")
	q = 1
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(name) {
		case "q":
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil {
				q = 0
			}
		case "version":
			switch strings.Trim(value, `"`) {
			case "0.0.4", "0.0.1", "1.0.0":
			default:
				return "", 0
			}
		}
	}
	return strings.ToLower(strings.TrimSpace(kind)), q
}
