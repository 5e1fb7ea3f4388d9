package compress

import (
	"fmt"
	"os"
	"testing"

	"holdfast/internal/http1"
)

// BenchmarkCodings compresses a whole body at each level, on one core. BODY names a file; without it, the body is words.
func BenchmarkCodings(b *testing.B) {
	body := words(1, 20<<10)
	if name := os.Getenv("BODY"); name != "" {
		var err error
		if body, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []http1.Coding{http1.Gzip, http1.Brotli, http1.Zstd} {
		for level := 1; level <= MaxLevel; level++ {
			b.Run(fmt.Sprintf("%v/%d", c, level), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				var out []byte
				for b.Loop() {
					e := newEncoder(c, level)
					e.out = out[:0]
					for i := 0; i < len(body); i += pieceSize {
						e.Write(body[i:min(i+pieceSize, len(body))])
					}
					e.Close()
					out = e.out
					e.free()
				}
				b.ReportMetric(float64(len(out)), "B/body")
			})
		}
	}
}
