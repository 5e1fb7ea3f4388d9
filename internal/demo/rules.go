package demo

import "fmt"

// Rules returns the part of Holdfast's configuration that has a rule for each pane: nothing for polling and push.
func Rules() string {
	return fmt.Sprintf(`
channels:
  - {match: "public.watched.*", access: public, history: {messages: 1}}
  - {match: "public.**", access: public}
polls:
  - {match: /absorbed/status, shared: true, fresh: 10s}
  - {match: /told/status, shared: true, fresh: 1h, channel: %[1]q}
  - {match: /shim/status, shared: true, fresh: 1h, channel: %[1]q}
inject:
  - {match: /, polls: [/shim/status]}
watch:
  - {channel: %[2]q, url: /watch/status, every: %[3]v, data: /state}
`, channel, watched, pollEvery)
}
