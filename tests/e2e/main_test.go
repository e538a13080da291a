package e2e

import (
	"os"
	"testing"

	"github.com/causeway-iot/causeway/tests/world"
)

// built is written by TestMain before any test runs, and only read afterwards.
var built world.Programs

func TestMain(m *testing.M) {
	os.Exit(world.Main(m, &built))
}
