package rpc

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

func TestAcmeCutByTheGateway(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: acme.New, Framing: acmeFraming})
	codectest.Replay(t, dial(t, Config{Endpoints: []string{address}}).New, "../acme/testdata")
}

func TestAcmeCuttingItsOwnStream(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: acme.New})
	codectest.Replay(t, dial(t, Config{Endpoints: []string{address}}).New, "../acme/testdata")
}

func TestAcmeIsTheSameAsInEveryLanguage(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: acme.New, Framing: acmeFraming})
	differences, err := acme.Differences(dial(t, Config{Endpoints: []string{address}}).New)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
