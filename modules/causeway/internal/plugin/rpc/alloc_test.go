package rpc

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// mostAllocs is for both sides of the wire and gRPC between them: 66 were measured,
// most of them gRPC's own.
const mostAllocs = 75

func TestAFrameCostsNoMoreAllocationsThanItDid(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates as well
	}
	address, _ := serve(t, kit.Server{Factory: acme.New, Framing: acmeFraming})
	d := begin(t, dial(t, Config{Endpoints: []string{address}}))
	if _, err := receive(d, acmeLogin); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(1000, func() {
		if err := oneFrame(d, false); err != nil {
			t.Fatal(err)
		}
	})
	if n > mostAllocs {
		t.Errorf("%v allocations, at most %d", n, mostAllocs)
	}
}
