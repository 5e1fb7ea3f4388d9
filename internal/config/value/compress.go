package value

// Compress says which responses are compressed. In a file it may also be true or false, for Enabled.
type Compress struct {
	Enabled       bool     `yaml:"enabled"` // true in a block that does not say
	Encodings     []string `yaml:"encodings" eg:"[br, zstd, gzip]"`
	Types         []string `yaml:"types" eg:"[text/*, application/json]"` // empty: the usual ones
	MinLength     Size     `yaml:"min_length"`
	Level         int      `yaml:"level"`
	SkipCookies   bool     `yaml:"skip_set_cookie"`
	Precompressed bool     `yaml:"precompressed"`
}

// DefaultCompress has the defaults of compress.
func DefaultCompress() Compress {
	return Compress{Encodings: []string{"br", "zstd", "gzip"}, MinLength: 1 * KB, Level: 4}
}
