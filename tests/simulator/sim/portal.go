package sim

import "github.com/causeway-iot/causeway/tests/simulator/portal"

// Portal returns the address of the page for people.
func (e *Edge) Portal() string { return e.control + "/portal/" }

// Listening says whether the protocol heads accept connections, see Down and Up.
func (e *Edge) Listening() bool {
	e.power.Lock()
	defer e.power.Unlock()
	return e.heads != nil
}

func (e *Edge) newPortal() *portal.Portal { return portal.New(e.hub, e, portal.Options{}) }
