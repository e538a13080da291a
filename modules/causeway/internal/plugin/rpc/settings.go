package rpc

import (
	"encoding/json"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// settings is a Config as operators write it.
type settings struct {
	Endpoints            []string `json:"endpoints"`
	TLS                  *TLS     `json:"tls"`
	DeadlineMilliseconds int64    `json:"deadlineMilliseconds"`
	Window               int      `json:"window"`
	WindowBytes          int      `json:"windowBytes"`
	AnswerBytes          int      `json:"answerBytes"`
	HealthMilliseconds   int64    `json:"healthMilliseconds"`
}

// ParseConfig reads a Config from JSON, all but its Framing:
//
//	{
//	  "endpoints": ["meter-1:7000", "unix:/run/meter.sock"],
//	  "tls": {"ca": "/certs/ca.pem", "certificate": "/certs/me.pem", "key": "/certs/me.key", "serverName": "meter"},
//	  "deadlineMilliseconds": 2000, "window": 256, "windowBytes": 33554432, "answerBytes": 1048576,
//	  "healthMilliseconds": 1000
//	}
//
// Everything but the endpoints may be missing. Errors are of type *codec.OptionError,
// but for what Dial finds out.
func ParseConfig(raw json.RawMessage) (Config, error) {
	var s settings
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return Config{}, err
	}
	if len(s.Endpoints) == 0 {
		return Config{}, codec.Optionf("/endpoints", "is missing")
	}
	for _, n := range []struct {
		pointer string
		value   int64
	}{
		{"/deadlineMilliseconds", s.DeadlineMilliseconds}, {"/window", int64(s.Window)},
		{"/windowBytes", int64(s.WindowBytes)}, {"/answerBytes", int64(s.AnswerBytes)},
		{"/healthMilliseconds", s.HealthMilliseconds},
	} {
		if n.value < 0 {
			return Config{}, codec.Optionf(n.pointer, "got %d, allowed are 1 and more", n.value)
		}
	}
	if got, most := s.DeadlineMilliseconds, maxDeadline.Milliseconds(); got > most {
		return Config{}, codec.Optionf("/deadlineMilliseconds", "got %d, at most %d are allowed", got, most)
	}
	return Config{
		Endpoints: s.Endpoints, TLS: s.TLS, Deadline: time.Duration(s.DeadlineMilliseconds) * time.Millisecond,
		Window: s.Window, WindowBytes: s.WindowBytes, AnswerBytes: s.AnswerBytes,
		Health: time.Duration(s.HealthMilliseconds) * time.Millisecond,
	}, nil
}
