package hub

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// What is told apart only by what came before needs longer lives than rapid's 30 steps.
	if err := flag.Set("rapid.steps", "100"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
