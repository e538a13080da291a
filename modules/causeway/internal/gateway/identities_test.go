package gateway

import (
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
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
