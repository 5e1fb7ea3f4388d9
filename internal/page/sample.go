package page

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample has the values of all metrics at one moment.
type sample struct {
	at     time.Time
	series map[string][]series // by the name of the metric
	times  Timings
}

// series is one value of a metric, with the values of its labels in their order.
type series struct {
	labels []string
	value  float64
}

// parse reads the text format of Prometheus, as a metric.Writer writes it.
func parse(at time.Time, text []byte) *sample {
	s := &sample{at: at, series: map[string][]series{}}
	for line := range bytes.Lines(text) {
		if line[0] == '#' {
			continue
		}
		head, number, _ := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		if i := bytes.LastIndexByte(line, ' '); i > len(head) { // the value of a label has a space
			head, number = line[:i], bytes.TrimSpace(line[i:])
		}
		name, labels, _ := strings.Cut(string(head), "{")
		if v, err := strconv.ParseFloat(string(number), 64); err == nil {
			s.series[name] = append(s.series[name], series{labelValues(labels), v})
		}
	}
	return s
}

// labelValues returns the values of labels, which are between quotes.
func labelValues(text string) (list []string) {
	for {
		_, rest, ok := strings.Cut(text, `="`)
		if !ok {
			return list
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				if i++; rest[i] == 'n' {
					value.WriteByte('\n')
					continue
				}
			}
			value.WriteByte(rest[i])
		}
		list = append(list, value.String())
		text = rest[min(i+1, len(rest)):]
	}
}

// has reports whether there is such a metric.
func (s *sample) has(name string) bool { return len(s.series[name]) > 0 }

// total returns the sum of a metric's values.
func (s *sample) total(name string) (sum float64) {
	for _, v := range s.series[name] {
		sum += v.value
	}
	return sum
}

// by returns the values of a metric by that of its first label.
func (s *sample) by(name string) map[string]float64 {
	m := map[string]float64{}
	for _, v := range s.series[name] {
		if len(v.labels) > 0 {
			m[v.labels[0]] += v.value
		}
	}
	return m
}

// value returns the value of a metric with these values of its labels; 0 if there is none.
func (s *sample) value(name string, labels ...string) float64 {
	for _, v := range s.series[name] {
		if slices.Equal(v.labels, labels) {
			return v.value
		}
	}
	return 0
}

// rate returns how much a counter grew in a second since the sample before; 0 if there is none before.
func (s *sample) rate(before *sample, name string) float64 {
	if before == nil {
		return 0
	}
	seconds := s.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return max(0, s.total(name)-before.total(name)) / seconds
}
