package exproto

import (
	"encoding/json"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
)

// settings is a Config as operators write it.
type settings struct {
	Handler              string     `json:"handler"`
	HandlerTLS           *rpc.TLS   `json:"handlerTls"`
	Listen               string     `json:"listen"`
	ListenTLS            *ServerTLS `json:"listenTls"`
	DeadlineMilliseconds int64      `json:"deadlineMilliseconds"`
	Window               int        `json:"window"`
}

// ParseConfig reads a Config from JSON:
//
//	{
//	  "handler": "handler:9001", "handlerTls": {"ca": "/certs/ca.pem"},
//	  "listen": "0.0.0.0:9100",
//	  "listenTls": {"certificate": "/certs/me.pem", "key": "/certs/me.key", "clientCa": "/certs/ca.pem"},
//	  "deadlineMilliseconds": 2000, "window": 256
//	}
//
// Only handler and listen are needed. Errors are of type *codec.OptionError, but for
// what Listen finds out.
func ParseConfig(raw json.RawMessage) (Config, error) {
	var s settings
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return Config{}, err
	}
	most := maxDeadline.Milliseconds()
	switch {
	case s.Handler == "":
		return Config{}, codec.Optionf("/handler", "is missing")
	case s.Listen == "":
		return Config{}, codec.Optionf("/listen", "is missing")
	case s.DeadlineMilliseconds < 0 || s.DeadlineMilliseconds > most:
		return Config{}, codec.Optionf("/deadlineMilliseconds", "got %d, allowed are 1 to %d", s.DeadlineMilliseconds, most)
	case s.Window < 0:
		return Config{}, codec.Optionf("/window", "got %d, allowed are 1 and more", s.Window)
	}
	return Config{
		Handler: s.Handler, HandlerTLS: s.HandlerTLS, Listen: s.Listen, ListenTLS: s.ListenTLS,
		Deadline: time.Duration(s.DeadlineMilliseconds) * time.Millisecond, Window: s.Window,
	}, nil
}
