package config

import "holdfast/internal/compress"

// compression checks compress.
func (l *levelCheck) compression() {
	c := &l.b.Compress
	rangeOf(l, "compress.min_length", c.MinLength, 1, 1*GB, "all")
	rangeOf(l, "compress.level", c.Level, 1, compress.MaxLevel, "")
	if _, err := compress.Named(c.Encodings); err != nil && l.has("compress.encodings") {
		l.d.add(join(l.key, "compress.encodings"), err.Error())
	}
	if err := compress.CheckTypes(c.Types); err != nil && l.has("compress.types") {
		l.d.add(join(l.key, "compress.types"), err.Error())
	}
}
