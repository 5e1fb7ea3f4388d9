package appcall

import (
	"testing"

	"holdfast/internal/wiretest"
)

// The cleaner of a client's connections takes its time.
func TestMain(m *testing.M) { wiretest.Main(m, "fasthttp.(*HostClient).connsCleaner") }
