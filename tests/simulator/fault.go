package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/control"
)

const faultUsage = `usage: simulator fault <what> [-count n] [-identity module] [-holding text]

What happens to the next n publishes, or attaches (1 unless -count says so, -1 until cleared):
  delay <time>                          the disposition comes late
  withhold                              none comes
  refuse [condition] [description]      rejected; nothing is stored
  attach [condition] [description]      the link, over MQTT the login, is refused
  drop                                  stored, but the connection ends in place of an answer
  list | clear                          the faults in force

What happens at once:
  connections [polite]                  every connection, or that of -identity, is reset, or closed politely
  tokens [later]                        tokens in use expire; later: seen at the next check
  hub down | hub abrupt | hub up        the hub stops listening, and comes back
  cloud cut | cloud restore             the link to the cloud
`

func fault(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	flags := flagsOf("fault", &c, stderr)
	flags.Usage = func() { fmt.Fprint(stderr, faultUsage); flags.PrintDefaults() }
	count := flags.Int("count", 1, "`number` of publishes or attaches")
	identity := flags.String("identity", "", "`module`, device/module, or device/ for a leaf device")
	holding := flags.String("holding", "", "with refuse: only messages whose body holds the `text`")
	rest, err := parse(flags, args)
	if err != nil {
		return err
	}
	rule := control.FaultRequest{Identity: *identity, Count: *count, Holding: *holding}
	verb, path, body, err := faultRequest(rest, rule)
	if err != nil {
		return err
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	data, err := c.raw(ctx, verb, path, body)
	if err != nil {
		return err
	}
	return pretty(stdout, data)
}

// faultRequest turns the words into a request of the control API, which has the rest of a rule.
func faultRequest(words []string, rule control.FaultRequest) (verb, path string, body []byte, err error) {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	query := "?identity=" + url.QueryEscape(rule.Identity)
	switch word(0) + " " + word(1) {
	case "list ":
		return http.MethodGet, "/faults", nil, nil
	case "clear ":
		return http.MethodDelete, "/faults", nil, nil
	case "connections ", "connections polite":
		polite := map[bool]string{true: "&polite=true"}[word(1) != ""]
		return http.MethodPost, "/connections/drop" + query + polite, nil, nil
	case "tokens ", "tokens later":
		later := map[bool]string{true: "&close=false"}[word(1) != ""]
		return http.MethodPost, "/tokens/expire" + query + later, nil, nil
	case "hub down", "hub up", "cloud cut", "cloud restore":
		return http.MethodPost, "/" + word(0) + "/" + word(1), nil, nil
	case "hub abrupt":
		return http.MethodPost, "/hub/down?abrupt=true", nil, nil
	case "withhold ":
		rule.Withhold = true
	case "drop ":
		rule.Drop = true
	default:
		if err := refuseOrDelay(words, &rule); err != nil {
			return "", "", nil, err
		}
	}
	body, err = json.Marshal(rule)
	return http.MethodPost, "/faults", body, err
}

func refuseOrDelay(words []string, rule *control.FaultRequest) error {
	switch {
	case len(words) >= 1 && len(words) <= 3 && (words[0] == "refuse" || words[0] == "attach"):
		refusal := &control.RefuseRequest{Description: "refused by request"}
		if len(words) > 1 {
			refusal.Condition = words[1]
		}
		if len(words) > 2 {
			refusal.Description = words[2]
		}
		if rule.Refuse = refusal; words[0] == "attach" {
			rule.Refuse, rule.Attach = nil, refusal
		}
		return nil
	case len(words) == 2 && words[0] == "delay":
		delay, err := time.ParseDuration(words[1])
		if err != nil || delay <= 0 {
			return misuse("delay %q must be a time such as 500ms or 2s", words[1])
		}
		rule.DelayMs = delay.Milliseconds()
		return nil
	}
	return misuse("unknown fault %q; fault -h lists them", words)
}
