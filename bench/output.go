package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"holdfast/bench/report"
)

// plots are the pictures, by the end of their file's name.
var plots = []struct {
	file, title string
	panels      []report.Panel
}{
	{"idle", "Private memory per held connection, 10,000 of them", []report.Panel{
		idlePanel("Idle keep-alive, after one proxied request", "keep-alive"),
		idlePanel("WebSocket, one channel", "websocket, one channel"),
		idlePanel("SSE, one channel", "sse, one channel"),
		idlePanel("Long poll, one channel", "long poll, one channel"),
		idlePanel("WebSocket, a channel each", "websocket, a channel each"),
		idlePanel("SSE, a channel each", "sse, a channel each"),
	}},
	{"fanout", "One channel, 10,000 receivers, 128 bytes", []report.Panel{
		fanPanel("WebSocket: the last one has the message after", "websocket", "one message: last receiver", false),
		fanPanel("WebSocket: CPU per delivery", "websocket", "one message: CPU per delivery", false),
		fanPanel("WebSocket: 100 messages at once", "websocket", "burst of 100: deliveries per second", true),
		fanPanel("SSE: the last one has the message after", "sse", "one message: last receiver", false),
		fanPanel("SSE: CPU per delivery", "sse", "one message: CPU per delivery", false),
		fanPanel("SSE: 100 messages at once", "sse", "burst of 100: deliveries per second", true),
	}},
	{"proxy", "Requests to the app behind", []report.Panel{
		proxyPanel("128 B, 64 connections: throughput", "128 B, 64 connections: requests per second", true),
		proxyPanel("128 B, 64 connections: CPU", "128 B, 64 connections: CPU per request", false),
		proxyPanel("128 B, 64 connections: p99", "128 B, 64 connections: p99", false),
		proxyPanel("128 B, one connection: throughput", "128 B, 1 connections: requests per second", true),
		proxyPanel("10 MB answers", "10 MB, 8 connections: throughput", true),
		proxyPanel("Uploads of 1 MB", "upload of 1 MB, 16 connections: throughput", true),
		proxyPanel("100 answers of 10 MB at once, unread", "100 answers of 10 MB at once: growth of memory", false),
		{Title: "Connect, one request, close", Section: "Churn: connect, one request, close; 64 clients", Row: "connections per second", More: true},
	}},
}

func idlePanel(title, row string) report.Panel {
	return report.Panel{Title: title, Section: "Idle: private memory per connection", Row: row + ", 10,000"}
}

func fanPanel(title, kind, row string, more bool) report.Panel {
	return report.Panel{Title: title, Section: "Fan-out to 10,000: " + kind, Row: row, More: more}
}

func proxyPanel(title, row string, more bool) report.Panel {
	return report.Panel{Title: title, Section: "Proxy", Row: row, More: more}
}

// write puts the tables and the plots into the folder. The plots of a whole run have plain names, for a page to show.
func write(r *report.Report, o options) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	var text, tables bytes.Buffer
	if err := r.JSON(&text); err != nil {
		return err
	}
	r.Markdown(&tables)
	files := map[string][]byte{o.name + ".json": text.Bytes(), o.name + ".md": tables.Bytes()}
	prefix := ""
	if o.name != "latest" {
		prefix = o.name + "-"
	}
	for _, p := range plots {
		var b bytes.Buffer
		if r.SVG(&b, p.title, p.panels) {
			files[prefix+p.file+".svg"] = b.Bytes()
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(o.out, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func machine() report.Machine {
	m := report.Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	m.CPU = line("/proc/cpuinfo", "model name")
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = fmt.Sprintf("%.0f GB", float64(info.Totalram)*float64(info.Unit)/1e9)
	}
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(data))[:3], " ")
	}
	return m
}

// line is the value of the first line of a file that begins with key and a colon.
func line(file, key string) string {
	data, _ := os.ReadFile(file)
	for l := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
