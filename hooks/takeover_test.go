package hooks

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/internal/apigate"
)

// TestTakeOver: the caller learns who has taken over, or why nobody has, also while other requests wait.
func TestTakeOver(t *testing.T) {
	failed := error(nil)
	a := start(t, "tcp", Options{TakeOver: func() (apigate.TakenOver, error) {
		return apigate.TakenOver{PID: 17, Version: "v2", Connections: 5, Stayed: 1, Pause: 0.25}, failed
	}})
	if err := Gate(a.Server).Hold(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	defer Gate(a.Server).Release(nil)
	for _, tt := range []struct {
		failed error
		line   string
		status int
		want   string
	}{
		{nil, "POST /takeover", 200, `{"pid":17,"version":"v2","connections":5,"stayed":1,"pause":0.25}`},
		{fmt.Errorf("%w: the new process has ended", apigate.ErrNotTakenOver), "POST /takeover", 422, "the new process has ended"},
		{errors.New("secret thoughts"), "POST /takeover", 500, "internal error"},
		{nil, "GET /takeover", 405, "POST"},
		{nil, "POST /takeover?x=1", 400, "bad query"},
	} {
		failed = tt.failed
		got := a.raw(request(tt.line, "", ""))
		if got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s, %v: %d %s", tt.line, tt.failed, got.status, got.body)
		}
		if tt.status == 200 && !got.closes {
			t.Error("the connection to the old process is kept")
		}
	}
	without := start(t, "tcp", Options{})
	if got := without.raw(request("POST /takeover", "", "")); got.status != 404 {
		t.Errorf("without: %d", got.status)
	}
}
