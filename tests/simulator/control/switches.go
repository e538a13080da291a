package control

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// FaultRequest is the body of POST /faults.
type FaultRequest struct {
	// ID is the rule's number in answers; POST gives it.
	ID uint64 `json:"id,omitempty"`
	// Identity limits the fault to a module, device/module, or device/ (empty for all).
	Identity string `json:"identity,omitempty"`
	// Count is how many publishes, or attaches, it happens to: 0 for one, below 0 until it is cleared.
	Count int `json:"count,omitempty"`
	// DelayMs holds the disposition back; Withhold sends none; Drop ends the connection
	// in its place; Refuse rejects.
	DelayMs  int64          `json:"delayMs,omitempty"`
	Withhold bool           `json:"withhold,omitempty"`
	Drop     bool           `json:"drop,omitempty"`
	Refuse   *RefuseRequest `json:"refuse,omitempty"`
	// Holding limits Refuse to messages whose body holds the text.
	Holding string `json:"holding,omitempty"`
	// Attach refuses links, or over MQTT logins.
	Attach *RefuseRequest `json:"attach,omitempty"`
}

// RefuseRequest is the rejection that clients get.
type RefuseRequest struct {
	// Condition is an AMQP error condition; empty for amqp:internal-error, or for an attach
	// amqp:not-allowed.
	Condition   string `json:"condition"`
	Description string `json:"description"`
}

// refusal completes the request; nil stays nil.
func (r *RefuseRequest) refusal(condition string) *edge.Refusal {
	if r == nil {
		return nil
	}
	if r.Condition != "" {
		condition = r.Condition
	}
	return &edge.Refusal{Condition: condition, Description: r.Description}
}

func (a *API) addFault(r *http.Request) (any, error) {
	var request FaultRequest
	if err := read(r, &request); err != nil {
		return nil, err
	}
	id, err := a.identity(request.Identity)
	if err != nil {
		return nil, err
	}
	rule := edge.FaultRule{Identity: id, Count: request.Count, Holding: request.Holding, Fault: edge.Fault{
		Delay: time.Duration(request.DelayMs) * time.Millisecond, Withhold: request.Withhold, Drop: request.Drop,
	}}
	rule.Fault.Refuse = request.Refuse.refusal(edge.ConditionInternal)
	rule.Fault.Attach = request.Attach.refusal(edge.ConditionNotAllowed)
	if err := a.hub.AddFault(rule); err != nil {
		return nil, bad("%v", err)
	}
	return a.listFaults(r)
}

func (a *API) listFaults(*http.Request) (any, error) {
	list := []FaultRequest{}
	for _, rule := range a.hub.Faults() {
		f := FaultRequest{
			ID: rule.ID, Count: rule.Count, Holding: rule.Holding, DelayMs: rule.Fault.Delay.Milliseconds(),
			Withhold: rule.Fault.Withhold, Drop: rule.Fault.Drop,
		}
		if rule.Identity != nil {
			f.Identity = rule.Identity.Device + "/" + rule.Identity.Module
		}
		if rule.Fault.Refuse != nil {
			f.Refuse = &RefuseRequest{rule.Fault.Refuse.Condition, rule.Fault.Refuse.Description}
		}
		if rule.Fault.Attach != nil {
			f.Attach = &RefuseRequest{rule.Fault.Attach.Condition, rule.Fault.Attach.Description}
		}
		list = append(list, f)
	}
	return list, nil
}

// clearFaults takes back all faults, or the one whose id is given.
func (a *API) clearFaults(r *http.Request) (any, error) {
	if text := r.URL.Query().Get("id"); text != "" {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, bad("id is %q, it must be a fault's number", text)
		}
		cleared := 0
		if a.hub.ClearFault(id) {
			cleared = 1
		}
		return map[string]int{"cleared": cleared}, nil
	}
	return map[string]int{"cleared": a.hub.ClearFaults()}, nil
}

// flag reads a boolean of the query.
func flag(r *http.Request, name string, otherwise bool) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, bad("%s is %q, it must be true or false", name, text)
	}
	return value, nil
}

// maxDrop bounds how long the hub may take to notice. It does so at once unless what a client
// has sent is held up by a fault.
const maxDrop = 10 * time.Second

// dropConnections resets all TCP connections, or that of one identity, which all on it share.
// polite closes them as the real hub does, with a close and no error. The answer comes when
// the hub has noticed, so that a method called next goes to no connection that is dead.
func (a *API) dropConnections(r *http.Request) (any, error) {
	id, err := a.identity(r.URL.Query().Get("identity"))
	if err != nil {
		return nil, err
	}
	polite, err := flag(r, "polite", false)
	if err != nil {
		return nil, err
	}
	gone := a.hub.Departure(id)
	dropped := a.drop(id, polite)
	ctx, cancel := context.WithTimeout(r.Context(), maxDrop)
	defer cancel()
	if err := gone(ctx); err != nil {
		return nil, err
	}
	return map[string]int{"dropped": dropped}, nil
}

// drop returns how many connections there were; politely they are counted by identity.
func (a *API) drop(id *edge.Identity, polite bool) int {
	const reason = "dropped by request"
	switch {
	case id == nil && polite:
		return a.hub.DropConnections(reason)
	case id == nil:
		return a.power.DropAll()
	case polite && a.hub.DropConnection(*id, reason), !polite && a.hub.ResetConnection(*id):
		return 1
	}
	return 0
}

func (a *API) expireTokens(r *http.Request) (any, error) {
	id, err := a.identity(r.URL.Query().Get("identity"))
	if err != nil {
		return nil, err
	}
	closeNow, err := flag(r, "close", true)
	if err != nil {
		return nil, err
	}
	return map[string]int{"expired": a.hub.ExpireTokens(id, closeNow)}, nil
}

func (a *API) hubDown(r *http.Request) (any, error) {
	abrupt, err := flag(r, "abrupt", false)
	if err != nil {
		return nil, err
	}
	return map[string]string{"hub": "down"}, a.power.Down(abrupt)
}

func (a *API) hubUp(*http.Request) (any, error) {
	return map[string]string{"hub": "up"}, a.power.Up()
}

func (a *API) cloudCut(*http.Request) (any, error) {
	a.hub.CutCloud()
	return map[string]string{"cloud": "cut"}, nil
}

func (a *API) cloudRestore(*http.Request) (any, error) {
	return map[string]string{"cloud": "connected"}, a.hub.RestoreCloud()
}
