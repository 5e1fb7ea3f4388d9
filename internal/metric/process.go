package metric

import "github.com/VictoriaMetrics/metrics"

// WriteProcess writes the metrics of the process and of the Go runtime.
func (w *Writer) WriteProcess() {
	metrics.WriteProcessMetrics(w)
	if open, limit, ok := Descriptors(); ok {
		w.Int("process_max_fds", limit)
		w.Int("process_open_fds", open)
	}
}
