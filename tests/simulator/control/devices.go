package control

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// The query's names that are not properties of a message to a device: its id, and how long
// it waits, as a duration or seconds.
const (
	messageID  = "$.mid"
	timeToLive = "$.ttl"
)

// cloudToDevice sends to a leaf device, with body and query as for inject.
func (a *API) cloudToDevice(r *http.Request) (any, error) {
	m, err := readMessage(r)
	if err != nil {
		return nil, err
	}
	m.System["messageId"] = m.Properties[messageID]
	if m.System["messageId"] == "" {
		m.System["messageId"] = rand.Text()
	}
	life, err := duration(m.Properties[timeToLive])
	if err != nil || life < 0 {
		return nil, bad("%s is %q, it must be a time such as 10s", timeToLive, m.Properties[timeToLive])
	}
	if life > 0 {
		m.System["absolute-expiry-time"] = a.hub.Now().Add(life).UTC().Format(time.RFC3339Nano)
	}
	delete(m.Properties, messageID)
	delete(m.Properties, timeToLive)
	_, err = queued(a.hub.InjectCloudToDevice(r.PathValue("device"), m))
	return map[string]any{"queued": err == nil, "messageId": m.System["messageId"]}, err
}

// feedback tells what became of messages to devices, above a sequence number, and waits for
// the first. It takes nothing away from the service's receivers.
func (a *API) feedback(r *http.Request) (any, error) {
	q := r.URL.Query()
	since, err := number(q.Get("since"), 0)
	if err != nil {
		return nil, bad("since: %v", err)
	}
	wait, err := duration(q.Get("wait"))
	if err != nil || wait < 0 || wait > maxWait {
		return nil, bad("wait is %q, it must be 0s to 300s", q.Get("wait"))
	}
	list := a.hub.Ends(r.Context(), since, wait)
	if list == nil {
		list = []edge.End{}
	}
	return list, nil
}

// stats are the hub's totals, and those of every identity by its name.
func (a *API) stats(*http.Request) (any, error) {
	return struct {
		edge.Stats
		Identities map[string]edge.IdentityStats `json:"identities"`
	}{a.hub.Stats(), a.hub.IdentityStats()}, nil
}

func (a *API) restartPeaks(*http.Request) (any, error) {
	a.hub.RestartPeaks()
	return map[string]bool{"restarted": true}, nil
}
