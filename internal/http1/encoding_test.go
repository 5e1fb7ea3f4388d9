package http1

import "testing"

func TestAcceptsGzip(t *testing.T) {
	for field, want := range map[string]bool{
		"":                        false,
		"gzip":                    true,
		"deflate, GZIP;q=0.5, br": true,
		"gzip; q=0":               false,
		"gzip;q=0.000, identity":  false,
		"br, x-gzip":              true,
		"gzipped":                 false,
	} {
		if got := AcceptsGzip([][]byte{[]byte(field)}); got != want {
			t.Errorf("Accept-Encoding: %s: %v, want %v", field, got, want)
		}
	}
}
