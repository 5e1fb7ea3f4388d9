package config

import (
	"slices"
	"strings"
	"testing"
)

// TestCompress: one word, a block, and what a site and a route have of it.
func TestCompress(t *testing.T) {
	for _, tt := range []struct {
		file string
		want bool
	}{
		{"", false},
		{"compress: true", true},
		{"compress: false", false},
		{"compress:", false},
		{"compress: {}", true},
		{"compress: {level: 6}", true},
		{"compress: {level: 6, enabled: false}", false},
	} {
		c, err := Parse("c.yaml", []byte(tt.file))
		if err != nil || c.Compress.Enabled != tt.want {
			t.Errorf("%s: %v, %v", tt.file, c, err)
		}
	}
	c, err := Parse("c.yaml", []byte(`
compress: {level: 6, types: [text/html], encodings: [gzip]}
sites:
  - hosts: [a.test]
    compress: {level: 2, encodings: [br, zstd]}
    routes:
      - {match: /account, compress: false}
      - {match: /all, compress: {min_length: 0}}
  - default: true
`))
	if err != nil {
		t.Fatal(err)
	}
	a := &c.Sites[0]
	if x := a.Compress; !x.Enabled || x.Level != 2 || x.Types[0] != "text/html" || !slices.Equal(x.Encodings, []string{"br", "zstd"}) || x.MinLength != 1*KB {
		t.Errorf("the site: %+v", x)
	}
	if x := a.Routes[0].Compress; x.Enabled || x.Level != 2 {
		t.Errorf("the first route: %+v", x)
	}
	if x := a.Routes[1].Compress; !x.Enabled || x.Level != 2 || x.MinLength != 0 {
		t.Errorf("the second route: %+v", x)
	}
	if x := c.Sites[1].Compress; !x.Enabled || x.Level != 6 {
		t.Errorf("the other site: %+v", x)
	}
}

func TestCompressErrors(t *testing.T) {
	for file, want := range map[string]string{
		"compress: yes":                                      "compress.enabled: \"yes\" is neither true nor false",
		"compress: [gzip]":                                   "compress: a list; want",
		"compress: {level: 10}":                              "compress.level: 10 is out of range; want 1 to 9",
		"compress: {encodings: []}":                          "compress.encodings: none; want some of br, zstd, gzip",
		"compress: {encodings: [gzip, deflate]}":             "compress.encodings: unknown \"deflate\"; want some of",
		"compress: {encodings: [gzip, gzip]}":                "compress.encodings: gzip is twice in the list",
		"compress: {types: [html]}":                          "compress.types: \"html\" is not a media type; want one such as",
		"compress: {gzip: true}":                             "compress.gzip: unknown key",
		"buffers: {compressors: 0}":                          "buffers.compressors: 0 is out of range; want 1 to 10000",
		"routes: [{match: /a, compress: {min_length: 2GB}}]": "routes[0].compress.min_length: 2GB is out of range",
		"routes: [{match: /a, buffers: {compressors: 2}}]":   "routes[0].buffers.compressors: is for connections",
	} {
		_, err := Parse("c.yaml", []byte(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}
