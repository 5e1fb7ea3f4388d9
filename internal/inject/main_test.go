package inject

import (
	"testing"

	"holdfast/internal/wiretest"
)

// A filter that is not closed leaves its coroutine.
func TestMain(m *testing.M) { wiretest.Main(m) }
