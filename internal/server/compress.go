package server

import (
	"slices"

	"holdfast/internal/compress"
	"holdfast/internal/config"
	"holdfast/internal/metric"
)

// compression returns the rule by which a level's responses are compressed; nil: none is.
func compression(c *config.Compress) (*compress.Rule, error) {
	if !c.Enabled {
		return nil, nil
	}
	codings, err := compress.Named(c.Encodings)
	if err != nil {
		return nil, err
	}
	return compress.NewRule(compress.Options{
		Codings: codings, Types: c.Types, MinLength: int64(c.MinLength), Level: c.Level,
		SkipCookies: c.SkipCookies, Precompressed: c.Precompressed,
	})
}

// compresses reports whether responses of some level are compressed.
func compresses(c *config.Config) bool {
	return slices.ContainsFunc(c.Levels(), func(s config.Site) bool {
		return s.Compress.Enabled || slices.ContainsFunc(s.Routes, func(r config.Route) bool { return r.Compress.Enabled })
	})
}

// Notes returns what users of other servers may expect and is off, in a sentence each.
func Notes(c *config.Config) (list []string) {
	if !compresses(c) {
		list = append(list, "compress: responses are not compressed by Holdfast; set compress: true, unless the app or a proxy in front does it")
	}
	return list
}

// writeCompression writes the counts of compressed responses, if there may be some.
func writeCompression(w *metric.Writer, c *config.Config, p *compress.Pool) {
	if !compresses(c) {
		return
	}
	w.Ints("holdfast_compress_responses_total", "encoding", p.Encoded())
	w.Int("holdfast_compress_uncompressed_total", p.Plain.Load())
	w.Int("holdfast_compress_fallbacks_total", p.Fallback.Load())
	w.Int("holdfast_compress_read_bytes_total", p.In.Load())
	w.Int("holdfast_compress_written_bytes_total", p.Out.Load())
	w.Int("holdfast_compress_compressors", p.Held())
}
