package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// scripted is the codec of a script in the fuller shape.
type scripted struct {
	program *Program
	options json.RawMessage
}

// Begin implements codec.Codec.
func (c *scripted) Begin(p codec.Peer) (codec.Dialogue, error) {
	i, err := c.program.enter()
	if err != nil {
		return nil, err
	}
	d := &dialogue{instance: i}
	if err := d.begin(p, c.options); err != nil {
		return nil, err
	}
	if c.program.framed {
		return &framedDialogue{d}, nil
	}
	return d, nil
}

// dialogue is one link of the fuller shape.
type dialogue struct {
	*instance
	state goja.Value // what the script remembers of the link
}

// framedDialogue is one whose script cuts the stream: only it is a codec.Framer.
type framedDialogue struct{ *dialogue }

func (d *dialogue) begin(p codec.Peer, options json.RawMessage) error {
	r := d.realm
	if d.functions["begin"] == nil {
		return r.call(func() error {
			d.state = r.vm.NewObject()
			return nil
		})
	}
	return d.run("begin", func() ([]goja.Value, error) {
		peer := r.vm.NewObject()
		err := errors.Join(
			peer.Set("listener", p.Listener), peer.Set("transport", p.Transport),
			peer.Set("address", p.Remote.Addr().String()), peer.Set("port", p.Remote.Port()),
		)
		if p.TLS != nil {
			names := make([]any, len(p.TLS.Names))
			for i, name := range p.TLS.Names {
				names[i] = name
			}
			tls := r.vm.NewObject()
			err = errors.Join(err, tls.Set("commonName", p.TLS.CommonName), tls.Set("names", r.vm.NewArray(names...)),
				tls.Set("fingerprint", p.TLS.Fingerprint), peer.Set("tls", tls))
		}
		if err != nil {
			return nil, err
		}
		o, err := r.parse(options)
		return []goja.Value{peer, o}, err
	}, func(v goja.Value) error {
		if d.state = v; !present(v) {
			d.state = r.vm.NewObject()
		}
		return nil
	})
}

// parse makes a value of the engine from JSON; of nothing it makes an empty object.
func (r *realm) parse(text json.RawMessage) (goja.Value, error) {
	if len(text) == 0 {
		return r.vm.NewObject(), nil
	}
	if nesting(string(text)) >= 0 {
		return nil, fmt.Errorf("JSON is nested more than %d deep: %w", maxNesting, codec.ErrMalformed)
	}
	return r.parseJSON(goja.Undefined(), r.vm.ToValue(string(text)))
}

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	return d.run("receive", func() ([]goja.Value, error) {
		at, err := d.realm.date(f.At)
		return []goja.Value{d.realm.newBytes(append([]byte(nil), f.Bytes...)), d.state, at}, err
	}, reader{d.realm, out}.outcome)
}

// date makes a Date.
func (r *realm) date(t time.Time) (goja.Value, error) {
	return r.vm.New(r.dates, r.vm.ToValue(t.UnixMilli()))
}

// Command implements codec.Commander.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	r := d.realm
	err := d.run("command", func() ([]goja.Value, error) {
		order := r.vm.NewObject()
		payload := goja.Null()
		var err error
		if len(c.Payload) > 0 {
			payload, err = r.parse(c.Payload)
		}
		err = errors.Join(err, order.Set("name", c.Name), order.Set("payload", payload),
			order.Set("correlation", c.Correlation))
		return []goja.Value{order, d.state}, err
	}, reader{r, out}.outcome)
	return aboutCommand(err)
}

// aboutCommand makes an error of no kind one about the command's payload.
func aboutCommand(err error) error {
	if errors.Is(err, codec.ErrMalformed) {
		return fmt.Errorf("%w: %w", codec.ErrBadCommand, err)
	}
	return err
}

// Tick implements codec.Ticker; without a function of that name nothing happens.
func (d *dialogue) Tick(now time.Time, out *codec.Outcome) error {
	if d.functions["tick"] == nil {
		return nil
	}
	return d.run("tick", func() ([]goja.Value, error) {
		at, err := d.realm.date(now)
		return []goja.Value{at, d.state}, err
	}, reader{d.realm, out}.outcome)
}

// Resume implements codec.Resumer; without a function of that name the state has the
// device's id as its member device, where scripts keep it as a rule.
func (d *dialogue) Resume(device string) error {
	if d.functions["resume"] == nil {
		return d.realm.call(func() error {
			if o, ok := d.state.(*goja.Object); ok {
				return o.Set("device", device)
			}
			return nil
		})
	}
	return d.run("resume", func() ([]goja.Value, error) {
		return []goja.Value{d.realm.vm.ToValue(device), d.state}, nil
	}, func(goja.Value) error { return nil })
}

// Explain implements codec.Explainer. What is out of the frame or out of order is
// left out, and so is all of it when the script fails.
func (d *dialogue) Explain(frame []byte) []codec.Field {
	var fields []codec.Field
	err := d.run("explain", func() ([]goja.Value, error) {
		return []goja.Value{d.realm.newBytes(append([]byte(nil), frame...)), d.state}, nil
	}, func(v goja.Value) error {
		out := &codec.Outcome{}
		return reader{d.realm, out}.list("explain", v, func(at string, v goja.Value) error {
			o, ok := v.(*goja.Object)
			if !ok {
				return nil
			}
			f := codec.Field{
				Offset: whole(o.Get("offset")), Len: whole(o.Get("length")),
				Name: shown(o.Get("name")), Value: shown(o.Get("value")),
			}
			last := 0
			if n := len(fields); n > 0 {
				last = fields[n-1].Offset
			}
			if f.Offset >= last && f.Len >= 0 && f.Offset <= len(frame) && f.Len <= len(frame)-f.Offset {
				fields = append(fields, f)
			}
			return nil
		})
	})
	if err != nil {
		return nil
	}
	return fields
}

func whole(v goja.Value) int {
	if !present(v) {
		return -1
	}
	return int(v.ToInteger())
}

func shown(v goja.Value) string {
	if !present(v) {
		return ""
	}
	return clip(v.String())
}

// Split implements codec.Framer: the script says how long the frame at the head of
// the stream is, 0 while it cannot know. A length that has not all come yet is
// waited for.
func (d *framedDialogue) Split(data []byte, _ bool) (advance int, frame []byte, err error) {
	n := 0
	err = d.run("split", func() ([]goja.Value, error) {
		return []goja.Value{d.realm.newBytes(append([]byte(nil), data...)), d.state}, nil
	}, func(v goja.Value) error {
		if !present(v) {
			return nil
		}
		if f := v.ToFloat(); f >= 0 && f <= many {
			n = int(f)
			return nil
		}
		return d.realm.program.brokenf("split returned %.40q, want the length of the frame, or 0", v.String())
	})
	if err != nil || n == 0 || n > len(data) {
		return 0, nil, err
	}
	return n, data[:n], nil
}
