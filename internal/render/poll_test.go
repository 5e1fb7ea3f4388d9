package render

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"holdfast/internal/hub"
)

func TestPollResponse(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
	small := []*hub.Message{{ID: 7, Channel: "a", Data: []byte("x")}, {ID: 8, Channel: "b", Event: "e", Data: []byte("[1,\n2]"), JSON: true}}
	large := []*hub.Message{small[0], {ID: 9, Channel: "c", Data: bytes.Repeat([]byte("d"), 2*largeObject)}, small[1]}
	for name, c := range map[string]struct {
		r    PollResponse
		want string
	}{
		"empty": {PollResponse{Next: 7}, head + "Content-Length: 39\r\n\r\n" + `{"messages":[],"next":"` + hub.ID(7).String() + "\"}\n"},
		"fields": {PollResponse{Fields: "Set-Cookie: a=" + strings.Repeat("b", headRoom) + "\r\n", Varies: true, Close: true}, head + "Set-Cookie: a=" +
			strings.Repeat("b", headRoom) + "\r\nVary: Accept-Encoding\r\nConnection: close\r\nContent-Length: 39\r\n\r\n" +
			`{"messages":[],"next":"` + hub.ID(0).String() + "\"}\n"},
		"small": {r: PollResponse{Messages: small, Next: 8, Gaps: []hub.Gap{{Channel: "a"}, {Channel: "b"}}}},
		"large": {r: PollResponse{Messages: large, Next: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			whole := string(c.r.AppendTo(make([]byte, 0, 64<<10)))
			if c.want != "" && whole != c.want {
				t.Errorf("%q, want %q", whole, c.want)
			}
			var sent strings.Builder
			collect := func(b []byte, _ bool) bool { sent.Write(b); return true }
			if !c.r.Send(make([]byte, 0, 1<<10), collect) || sent.String() != whole {
				t.Errorf("in pieces: %q, want %q", sent.String(), whole)
			}
			sent.Reset()
			c.r.Gzip = true
			c.r.Send(make([]byte, 0, 1<<10), collect)
			_, body, _ := strings.Cut(sent.String(), "\r\n\r\n")
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(whole, "\r\n\r\n")
			if got, err := io.ReadAll(z); err != nil || string(got) != want {
				t.Errorf("compressed: %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestPollResponseStopsWhenSendFails(t *testing.T) {
	r := PollResponse{Messages: []*hub.Message{{Data: bytes.Repeat([]byte("d"), 2*largeObject)}}}
	calls := 0
	if r.Send(nil, func([]byte, bool) bool { calls++; return false }) || calls != 1 {
		t.Errorf("%d calls after the first failed", calls)
	}
}

func TestGapEvents(t *testing.T) {
	replay := hub.Replay{Gaps: []hub.Gap{{Channel: "a", Through: 3}, {Channel: "b", Through: 4}}, Messages: []*hub.Message{{ID: 9}}}
	want := "event: gap\ndata: " + string(Gap(replay.Gaps[0])) + "\n\n" +
		"event: gap\nid: " + hub.ID(8).String() + "\ndata: " + string(Gap(replay.Gaps[1])) + "\n\n"
	if got := string(AppendGapEvents(nil, 20, replay)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := string(AppendGapEvents(nil, 20, hub.Replay{Gaps: replay.Gaps[:1]})); !strings.Contains(got, "id: "+hub.ID(20).String()+"\n") {
		t.Errorf("without messages: %q", got)
	}
}
