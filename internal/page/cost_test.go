package page

import (
	"fmt"
	"log/slog"
	"testing"

	"holdfast/internal/metric"
	"holdfast/internal/wiretest"
)

// BenchmarkState is what a second costs while somebody looks, without the metrics themselves: reading their text, finding
// refusals and examples, rendering.
func BenchmarkState(b *testing.B) {
	r := Record(slog.NewTextHandler(new(wiretest.Log), nil))
	log := slog.New(r)
	for i := range maxLines {
		log.Warn("request refused", "reason", fmt.Sprint("reason ", i%50), "status", 400, "client", "192.0.2.1")
	}
	p := New(Options{Lines: r, Metrics: func(w *metric.Writer) {
		for i := range causes {
			w.Int(causes[i].metric, 7, "reason", causes[i].label)
		}
	}})
	process := processMetrics()
	before := p.sample(process)
	b.ReportAllocs()
	for b.Loop() {
		p.state(p.sample(process), before).render()
	}
}

// BenchmarkRecord is what a line of the log costs more than without the page.
func BenchmarkRecord(b *testing.B) {
	for name, l := range map[string]*slog.Logger{
		"without": slog.New(slog.NewTextHandler(discard{}, nil)), "with": slog.New(Record(slog.NewTextHandler(discard{}, nil))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Warn("request refused", "reason", "more requests than limits.requests_per_second allows", "status", 429, "client", "192.0.2.1")
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
