package histfile

import (
	"testing"

	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }
