package service

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/windows/svc/eventlog"
)

const (
	eventID  = 1      // the only one: the text says what happened
	maxEvent = 31_000 // bytes; Windows takes 31,839 UTF-16 units
)

// eventLog writes each line of the server log as an event of the log "Application".
type eventLog struct{ events reporter }

// reporter is what eventLog needs of an eventlog.Log.
type reporter interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

// openLog returns the event log with source as the source of events.
func openLog(source string) (io.Writer, error) {
	events, err := eventlog.Open(source)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	return eventLog{events}, nil
}

func (l eventLog) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		line = strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\x00", "�")
		if line == "" {
			continue
		}
		if len(line) > maxEvent {
			line = line[:maxEvent] + "…"
		}
		report := l.events.Info
		switch levelOf(line) {
		case "ERROR":
			report = l.events.Error
		case "WARN":
			report = l.events.Warning
		}
		if err := report(eventID, strings.ToValidUTF8(line, "�")); err != nil {
			return 0, fmt.Errorf("event log: %w", err)
		}
	}
	return len(p), nil
}

// levelOf returns the level of a line of the server log, as text or JSON, or "". No field before it can contain its form.
func levelOf(line string) string {
	if _, rest, ok := strings.Cut(line, `"level":"`); ok && line[0] == '{' {
		level, _, _ := strings.Cut(rest, `"`)
		return level
	}
	_, rest, _ := strings.Cut(line, "level=")
	level, _, _ := strings.Cut(rest, " ")
	return level
}
