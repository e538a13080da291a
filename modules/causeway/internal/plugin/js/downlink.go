package js

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// encoder is the payload formatter's function for commands, "" for none.
func (i *instance) encoder() string {
	for _, name := range []string{"encodeDownlink", "Encoder", "Encode"} {
		if i.functions[name] != nil {
			return name
		}
	}
	return ""
}

// Command implements codec.Commander: the payload is the data that the script
// encodes, whatever the command's name, which it finds as input.command. The devices
// of this convention answer, if at all, with an uplink of their own, so that the
// command ends when it is written, unconfirmed; its result says the port that the
// script chose.
func (d *formatted) Command(c codec.Command, out *codec.Outcome) error {
	name := d.encoder()
	if name == "" {
		return fmt.Errorf("%s has none of the functions encodeDownlink, Encoder, Encode: %w",
			d.realm.program.name, errors.ErrUnsupported)
	}
	port := d.options.FPort
	err := d.run(name, func() ([]goja.Value, error) { return d.order(name, c) }, func(v goja.Value) error {
		o, ok := v.(*goja.Object)
		if !ok {
			return fmt.Errorf("%s: %s returned nothing: %w", d.realm.program.name, name, codec.ErrBadCommand)
		}
		if name == "encodeDownlink" {
			if errs := notes(o.Get("errors")); errs != "" {
				return fmt.Errorf("%s: %s: %w", d.realm.program.name, errs, codec.ErrBadCommand)
			}
			if p := o.Get("fPort"); present(p) {
				port = int(p.ToInteger())
			}
			v = o.Get("bytes")
		}
		b, err := reader{d.realm, out}.bytes(name+".bytes", v)
		if err == nil && b == nil {
			err = fmt.Errorf("%s: %s returned no bytes: %w", d.realm.program.name, name, codec.ErrBadCommand)
		}
		out.Reply = d.encoded(b)
		return err
	})
	if err != nil {
		out.Reply = nil
		return aboutCommand(err)
	}
	out.Results = append(out.Results, codec.Result{
		Correlation: c.Correlation, Payload: json.RawMessage(fmt.Sprintf(`{"fPort":%d}`, port)),
	})
	return nil
}

// order are the arguments of an encoder.
func (d *formatted) order(name string, c codec.Command) ([]goja.Value, error) {
	r := d.realm
	data, err := r.parse(c.Payload)
	if err != nil {
		return nil, err
	}
	variables, err := r.parse(d.options.Variables)
	port := r.vm.ToValue(d.options.FPort)
	switch name {
	case "Encoder":
		return []goja.Value{data, port, variables}, err
	case "Encode":
		return []goja.Value{port, data, variables}, err
	}
	input := r.vm.NewObject()
	return []goja.Value{input}, errors.Join(err, input.Set("data", data), input.Set("command", c.Name),
		input.Set("fPort", port), input.Set("variables", variables))
}

// encoded writes bytes as the frames of the link are written: text is a line.
func (d *formatted) encoded(b []byte) []byte {
	switch d.options.Encoding {
	case "hex":
		return append([]byte(hex.EncodeToString(b)), '\n')
	case "base64":
		return append([]byte(base64.StdEncoding.EncodeToString(b)), '\n')
	}
	return b
}
