package http1

import (
	"bytes"
	"strconv"
	"strings"
)

// AcceptsGzip reports whether the values of the fields Accept-Encoding (RFC 9110 §12.5.3) name gzip.
func AcceptsGzip(fields [][]byte) bool {
	for _, coding := range strings.Split(strings.ToLower(string(bytes.Join(fields, []byte{','}))), ",") {
		name, params, _ := strings.Cut(coding, ";")
		if name = strings.TrimSpace(name); name != "gzip" && name != "x-gzip" {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
