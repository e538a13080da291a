package control

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// The limits of GET /messages.
const (
	defaultLimit = 1000
	maxLimit     = 100_000
	maxWait      = 5 * time.Minute
)

// Message is an upstream message as GET /messages shows it.
type Message struct {
	Sequence   uint64            `json:"sequence"`
	Enqueued   time.Time         `json:"enqueued"`
	Source     string            `json:"source"`
	Device     string            `json:"device"`
	Module     string            `json:"module,omitempty"`
	Output     string            `json:"output,omitempty"`
	Properties map[string]string `json:"properties"`
	System     map[string]string `json:"system"`
	// Body is the body when it is JSON, BodyBase64 any other, or every one with raw=true.
	Body       json.RawMessage `json:"body,omitempty"`
	BodyBase64 []byte          `json:"bodyBase64,omitempty"`
}

// messages answers since, limit, wait (a duration or seconds), raw, and format=ndjson.
func (a *API) messages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, err := number(q.Get("since"), 0)
	if err != nil {
		fail(w, bad("since: %v", err))
		return
	}
	limit, err := number(q.Get("limit"), defaultLimit)
	if err != nil || limit == 0 || limit > maxLimit {
		fail(w, bad("limit is %q, it must be 1 to %d", q.Get("limit"), maxLimit))
		return
	}
	wait, err := duration(q.Get("wait"))
	if err != nil || wait < 0 || wait > maxWait {
		fail(w, bad("wait is %q, it must be 0s to 300s", q.Get("wait")))
		return
	}
	raw, err := flag(r, "raw", false)
	if err != nil {
		fail(w, err)
		return
	}
	list := []Message{}
	for _, m := range a.hub.Messages(r.Context(), since, int(limit), wait) {
		list = append(list, show(&m, raw))
	}
	if q.Get("format") == "ndjson" || strings.Contains(r.Header.Get("Accept"), "application/x-ndjson") {
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := json.NewEncoder(w)
		for i := range list {
			if out.Encode(&list[i]) != nil {
				return // the caller has gone
			}
		}
		return
	}
	reply(w, http.StatusOK, list)
}

func show(u *edge.Upstream, raw bool) Message {
	m := &u.Message
	shown := Message{
		Sequence: u.Sequence, Enqueued: m.Enqueued.UTC(), Source: u.Source,
		Device: m.From.Device, Module: m.From.Module, Output: m.Output,
		Properties: m.Properties, System: m.System,
	}
	if shown.Properties == nil {
		shown.Properties = map[string]string{}
	}
	if shown.System == nil {
		shown.System = map[string]string{}
	}
	if !raw && json.Valid(m.Body) {
		shown.Body = m.Body
	} else {
		shown.BodyBase64 = m.Body
	}
	return shown
}

func number(text string, otherwise uint64) (uint64, error) {
	if text == "" {
		return otherwise, nil
	}
	return strconv.ParseUint(text, 10, 63)
}

// duration reads "2s" or plain seconds.
func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}
