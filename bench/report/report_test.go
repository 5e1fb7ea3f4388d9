package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestSample(t *testing.T) {
	var s Sample
	for i := range 100 {
		s = append(s, float64((i*37)%100+1)) // 1 to 100 in some order
	}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.5, 50}, {0.99, 99}, {0.999, 100}, {1, 100}} {
		if got := s.Quantile(c.q); got != c.want {
			t.Errorf("quantile %v: %v, want %v", c.q, got, c.want)
		}
	}
	if s.Median() != 50.5 || s.Min() != 1 || s.Max() != 100 {
		t.Errorf("median %v, min %v, max %v", s.Median(), s.Min(), s.Max())
	}
	if got := (Sample{3, 1, 2}).Median(); got != 2 {
		t.Errorf("median of three: %v", got)
	}
	if got := (Sample{7}).Quantile(0.99); got != 7 {
		t.Errorf("p99 of one: %v", got)
	}
	var none Sample
	if !math.IsNaN(none.Median()) || !math.IsNaN(none.Quantile(0.5)) {
		t.Error("the median of nothing is a number")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.1234: "0.123", 1.234: "1.23", 9.999: "10.0", 12.34: "12.3", 99.96: "100", 123.4: "123",
		1234.5: "1,234", 1234567: "1,234,567", -1234: "-1,234", -45.5: "-45.5", 999: "999",
	} {
		if got := Number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func sample() *Report {
	r := &Report{Date: "today", Rounds: 3, Versions: []Version{{"holdfast", "1"}, {"a <b>", "2"}, {"absent", "3"}}}
	for _, v := range []float64{3, 1, 2} {
		r.Add("Speed", "of light", "m/s", "holdfast", v)
	}
	r.Add("Speed", "of light", "m/s", "a <b>", 5)
	r.Add("Speed", "of sound", "m/s", "a <b>", 1e6)
	return r
}

func TestMarkdown(t *testing.T) {
	r := sample()
	r.Add("Speed", "of nothing", "m/s", "holdfast", math.NaN())
	var b bytes.Buffer
	r.Markdown(&b)
	for _, want := range []string{
		"## Speed\n\n| | holdfast | a <b> |\n| --- | --- | --- |\n",
		"| of light (m/s) | **2.00**<br>1.00–3.00 | **5.00** |\n",
		"| of sound (m/s) |  | **1,000,000** |\n",
		"## Failed\n\n- holdfast: Speed, of nothing: no number\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample().JSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	c := back.Row("Speed", "of light").Peers["holdfast"]
	if c.Median != 2 || c.Min != 1 || c.Max != 3 || len(c.Values) != 3 {
		t.Errorf("came back as %+v", c)
	}
}

func TestSVG(t *testing.T) {
	var b bytes.Buffer
	panels := []Panel{{Title: "Light & sound", Section: "Speed", Row: "of light"}, {Title: "Absent", Section: "Speed", Row: "of thought"}}
	if !sample().SVG(&b, "Speeds", panels) {
		t.Fatal("nothing was drawn")
	}
	bars, text := 0, ""
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "rect" {
				bars++
			}
		case xml.CharData:
			text += string(e) + "\n"
		}
	}
	if bars != 3 { // the paper and two bars
		t.Errorf("%d rectangles", bars)
	}
	for _, want := range []string{"Light & sound", "a <b>", "2.00", "5.00"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "Absent") {
		t.Error("a panel without figures was drawn")
	}
	if sample().SVG(io.Discard, "Speeds", panels[1:]) {
		t.Error("a picture without panels was drawn")
	}
}
