package teltonika

import (
	"encoding/json"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Bounds of the options and their reasons.
const (
	// defaultMaxPacket is far above the 1,280 bytes of a classic packet of records
	// and above what newer devices send in one; the frame's length field could
	// announce 4 GiB.
	defaultMaxPacket = 64 << 10
	// minMaxPacket is the size that the specification allows every device.
	minMaxPacket = 1280
	// maxMaxPacket bounds the memory of one link.
	maxMaxPacket = 1 << 20
	// defaultCommandTimeout is generous: a tracker answers in seconds, or after
	// its modem has woken up.
	defaultCommandTimeout = 60
	maxCommandTimeout     = 3600
)

// options are what a listener's configuration may say. The JSON names are the
// documented ones.
type options struct {
	Body                  string             `json:"body"`
	Names                 string             `json:"names"`
	Units                 bool               `json:"units"`
	Luhn                  bool               `json:"luhn"`
	StrictCRC             bool               `json:"strictCrc"`
	MaxPacket             int                `json:"maxPacket"`
	CommandCodec          int                `json:"commandCodec"`
	CommandTimeoutSeconds int                `json:"commandTimeoutSeconds"`
	Elements              map[string]element `json:"elements"`
}

// element is what a configuration says about one AVL id, for devices whose
// table differs from the built-in one.
type element struct {
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Multiplier json.Number `json:"multiplier"`
	Unit       string      `json:"unit"`
}

// parseOptions fills in the defaults, decodes and checks.
func parseOptions(raw json.RawMessage) (options, error) {
	o := options{
		Body: "record", Names: "name", StrictCRC: true, MaxPacket: defaultMaxPacket,
		CommandCodec: codec12, CommandTimeoutSeconds: defaultCommandTimeout,
	}
	if err := codec.DecodeOptions(raw, &o); err != nil {
		return o, err
	}
	return o, o.check()
}

// check reports the first value out of range.
func (o options) check() error {
	switch {
	case o.Body != "record" && o.Body != "packet":
		return codec.Optionf("/body", `%q, allowed are "record" and "packet"`, o.Body)
	case o.Names != "name" && o.Names != "id":
		return codec.Optionf("/names", `%q, allowed are "name" and "id"`, o.Names)
	case o.CommandCodec != codec12 && o.CommandCodec != codec14:
		return codec.Optionf("/commandCodec", "%d, allowed are 12 and 14", o.CommandCodec)
	case o.MaxPacket < minMaxPacket || o.MaxPacket > maxMaxPacket:
		return codec.Optionf("/maxPacket", "%d, allowed are %d to %d", o.MaxPacket, minMaxPacket, maxMaxPacket)
	case o.CommandTimeoutSeconds < 1 || o.CommandTimeoutSeconds > maxCommandTimeout:
		return codec.Optionf("/commandTimeoutSeconds", "%d, allowed are 1 to %d",
			o.CommandTimeoutSeconds, maxCommandTimeout)
	}
	return nil
}
