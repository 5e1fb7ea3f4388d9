package compress

import (
	"fmt"
	"os"
	"testing"

	"holdfast/internal/http1"
)

// BenchmarkCodings compresses a whole body at each level, on one core: with one compressor, and with 16 that take turns, whose
// memory is not in the processor's cache, as that of a server's. BODY names a file; without it, the body is words.
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
			for _, n := range []int{1, 16} {
				b.Run(fmt.Sprintf("%v/%d/of-%d", c, level, n), func(b *testing.B) { benchmarkCoding(b, c, level, n, body) })
			}
		}
	}
}

func benchmarkCoding(b *testing.B, c http1.Coding, level, n int, body []byte) {
	b.SetBytes(int64(len(body)))
	var out []byte
	var list []*encoder
	for range n {
		list = append(list, newEncoder(c, level))
	}
	for turn := 0; b.Loop(); turn++ {
		e := list[turn%n]
		e.Reset(&e.out)
		e.out = out[:0]
		for i := 0; i < len(body); i += pieceSize {
			e.Write(body[i:min(i+pieceSize, len(body))])
		}
		e.Close()
		out = e.out
	}
	b.ReportMetric(float64(len(out)), "B/body")
}
