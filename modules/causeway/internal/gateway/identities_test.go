package gateway

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/identity"
)

// Leaves call back under their lock, see hub.LeavesOptions.Released; whoever changes the
// configuration meanwhile waits for that lock, and must not hold what the callback needs.
func TestNothingThatACallOfLeavesNeedsIsHeldWhileTheyAreConfigured(t *testing.T) {
	g := newGateway(t, environment(t))
	i := g.identities
	i.enact(compiled(t, g, `{"schemaVersion":"1.0","listeners":{}}`), new(config.Document))
	i.want()
	if err := i.leaves.Admit("d"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		i.leaves.UseStores(func(device string) hub.Store { // under their lock
			changing := make(chan struct{})
			both.Go(func() {
				close(changing)
				i.configure(config.Spool{Bytes: 1 << 20, Durability: "always"})
			})
			<-changing
			look := time.NewTicker(time.Millisecond)
			defer look.Stop()
			for range 20 { // time for it to get to the lock
				<-look.C
			}
			if !i.mu.TryLock() {
				t.Error("mu is held by who waits for leaves")
				return i.parts.Of(device)
			}
			i.mu.Unlock()
			return i.parts.Of(device)
		})
	})
	both.Wait()
	i.close()
	g.observers.close()
}

// The gateway is a device of IoT Hub, and logs in by the key of a policy.
func TestThePolicysKeyIsTheDevicesToo(t *testing.T) {
	env := environment(t)
	env.Hub.GatewayHostName, env.Hub.ModuleID, env.Hub.Policy = "", "", "device"
	g := newGateway(t, env)
	i := g.identities
	i.enact(compiled(t, g, `{"schemaVersion":"1.0","listeners":{}}`), new(config.Document))
	c, err := i.credential(t.Context(), "truck-1")
	if err != nil || c.Policy != "device" {
		t.Fatalf("policy %q, %v", c.Policy, err)
	}
	want, _ := g.credential.Signer.Sign(t.Context(), []byte("data"))
	if got, err := c.Signer.Sign(t.Context(), []byte("data")); got != want || err != nil {
		t.Errorf("signed %q, %v, want %q", got, err, want)
	}
	if id, err := i.name("D"); !errors.Is(err, identity.ErrCollision) {
		t.Errorf("a device named as the gateway: %q, %v", id, err)
	}
	d, faults := config.Parse([]byte(`{"schemaVersion":"1.0","listeners":{},"identity":{"keys":{"own":{"kind":"derived"}}}}`))
	if faults != nil {
		t.Fatal(faults)
	}
	_, faults = i.compile(d)
	if len(faults) != 1 || faults[0].Pointer != "/identity/keys/own/kind" || !strings.Contains(faults[0].Message, `the policy "device"`) {
		t.Errorf("faults are %v", faults)
	}
	g.observers.close()
}

// compiled compiles what a document says of identities.
func compiled(t *testing.T, g *Gateway, document string) *identityPlan {
	t.Helper()
	d, faults := config.Parse([]byte(document))
	if faults != nil {
		t.Fatal(faults)
	}
	p, faults := g.identities.compile(d)
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}
