package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

const (
	jsonType = "application/json"
	utf8Name = "utf-8"
	// maxProperties keeps a message's properties far within IoT Hub's 256 KiB.
	maxProperties = 32
)

// reader turns what a script returned into an outcome. Whatever has the wrong shape
// is the script's fault, not the device's, so that it wraps ErrBroken.
type reader struct {
	realm *realm
	out   *codec.Outcome
}

func (r reader) wrong(at, want string, got goja.Value) error {
	text := "nothing"
	if got != nil {
		text = got.String()
	}
	return r.realm.program.brokenf("outcome: %s is %.60q, want %s", at, text, want)
}

// present reports whether a value was given.
func present(v goja.Value) bool { return v != nil && !goja.IsUndefined(v) && !goja.IsNull(v) }

// fields checks that an object has no member with another name.
func (r reader) fields(at string, v goja.Value, known ...string) (*goja.Object, error) {
	o, ok := v.(*goja.Object)
	if !ok {
		return nil, r.wrong(at, "an object", v)
	}
	for _, key := range o.Keys() {
		if !slices.Contains(known, key) {
			return nil, r.realm.program.brokenf("outcome: %s has a member %.40q, known are %v", at, key, known)
		}
	}
	return o, nil
}

// outcome reads the whole of it.
func (r reader) outcome(v goja.Value) error {
	if !present(v) {
		return nil
	}
	o, err := r.fields("it", v, "identity", "messages", "reply", "ack", "nak", "results", "close")
	if err != nil {
		return err
	}
	if err := r.identity(o.Get("identity")); err != nil {
		return err
	}
	err = r.list("messages", o.Get("messages"), func(at string, v goja.Value) error { return r.message(at, v) })
	if err != nil {
		return err
	}
	for _, b := range []struct {
		name string
		into *[]byte
	}{{"reply", &r.out.Reply}, {"ack", &r.out.Ack}, {"nak", &r.out.Nak}} {
		if *b.into, err = r.bytes(b.name, o.Get(b.name)); err != nil {
			return err
		}
	}
	if err := r.list("results", o.Get("results"), r.result); err != nil {
		return err
	}
	r.out.Close, err = r.text("close", o.Get("close"))
	return err
}

func (r reader) list(at string, v goja.Value, each func(string, goja.Value) error) error {
	if !present(v) {
		return nil
	}
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		return r.wrong(at, "an array", v)
	}
	n, most := length(o), r.realm.limits().Messages
	if n > float64(most) {
		return r.realm.program.brokenf("outcome: %.0f %s, at most %d are allowed", n, at, most)
	}
	for i := range int(n) {
		if err := each(fmt.Sprintf("%s[%d]", at, i), o.Get(decimal(i))); err != nil {
			return err
		}
	}
	return nil
}

// room reports that n bytes more fit into the output.
func (r reader) room(n int) error {
	if most := r.realm.limits().OutputBytes; len(r.out.Scratch)+n > most {
		return r.realm.program.brokenf("outcome: more than %d bytes", most)
	}
	return nil
}

// text reads a string; it must be valid, and is counted as output.
func (r reader) text(at string, v goja.Value) (string, error) {
	if !present(v) {
		return "", nil
	}
	s, ok := v.(goja.String)
	if !ok {
		return "", r.wrong(at, "a string", v)
	}
	const most = 4096 // more is no name, no property and no reason
	if s.Length() > most {
		return "", r.realm.program.brokenf("outcome: %s has %d characters, at most %d are allowed", at, s.Length(), most)
	}
	return s.String(), nil
}

// bytes reads bytes, or a string as UTF-8, into the scratch memory.
func (r reader) bytes(at string, v goja.Value) ([]byte, error) {
	if !present(v) {
		return nil, nil
	}
	if s, ok := v.(goja.String); ok {
		if err := r.room(s.Length()); err != nil {
			return nil, err
		}
		return r.keep([]byte(s.String()))
	}
	b, ok := r.realm.bytesOf(v)
	if !ok {
		return nil, r.wrong(at, "bytes or a string", v)
	}
	return r.keep(b)
}

func (r reader) keep(b []byte) ([]byte, error) {
	if err := r.room(len(b)); err != nil {
		return nil, err
	}
	from := len(r.out.Scratch)
	r.out.Scratch = append(r.out.Scratch, b...)
	return r.out.Scratch[from:len(r.out.Scratch):len(r.out.Scratch)], nil
}

func (r reader) identity(v goja.Value) error {
	if !present(v) {
		return nil
	}
	o, err := r.fields("identity", v, "device", "secret", "accept", "refuse")
	if err != nil {
		return err
	}
	id := &r.out.Identity
	if id.Device, err = r.text("identity.device", o.Get("device")); err != nil {
		return err
	}
	if id.Secret, err = r.text("identity.secret", o.Get("secret")); err != nil {
		return err
	}
	if id.Accept, err = r.bytes("identity.accept", o.Get("accept")); err != nil {
		return err
	}
	id.Refuse, err = r.bytes("identity.refuse", o.Get("refuse"))
	return err
}

func (r reader) message(at string, v goja.Value) error {
	o, err := r.fields(at, v, "device", "body", "contentType", "contentEncoding", "time", "properties")
	if err != nil {
		return err
	}
	m := r.out.Add()
	if m.Device, err = r.text(at+".device", o.Get("device")); err != nil {
		return err
	}
	if err := r.body(m, at+".body", o.Get("body")); err != nil {
		return err
	}
	if t := o.Get("contentType"); present(t) {
		if m.ContentType, err = r.text(at+".contentType", t); err != nil {
			return err
		}
		if m.ContentType == jsonType && (!json.Valid(m.Body) || !utf8.Valid(m.Body)) {
			return r.realm.program.brokenf("%s.body is not JSON, as its contentType says", at)
		}
	}
	if e := o.Get("contentEncoding"); present(e) && m.ContentType != jsonType {
		if m.ContentEncoding, err = r.text(at+".contentEncoding", e); err != nil {
			return err
		}
	}
	if m.ContentType == jsonType {
		m.ContentEncoding = utf8Name
	}
	if m.Time, err = r.time(at+".time", o.Get("time")); err != nil {
		return err
	}
	return r.properties(m, at+".properties", o.Get("properties"))
}

// body takes a string as text, bytes as they are, and anything else as JSON.
func (r reader) body(m *codec.Message, at string, v goja.Value) (err error) {
	switch x := v.(type) {
	case goja.String:
		m.ContentType, m.ContentEncoding = "text/plain", utf8Name
		m.Body, err = r.bytes(at, v)
		return err
	case *goja.Object:
		if b, ok := memory(x); ok {
			m.Body, err = r.keep(b)
			return err
		}
	}
	m.Body, err = r.json(at, v)
	m.ContentType, m.ContentEncoding = jsonType, utf8Name
	return err
}

// json writes a value into the scratch memory.
func (r reader) json(at string, v goja.Value) ([]byte, error) {
	from := len(r.out.Scratch)
	w := jsonWriter{realm: r.realm, dst: r.out.Scratch, most: r.realm.limits().OutputBytes}
	written, err := w.value(v, 0)
	switch {
	case errors.Is(err, errSize), errors.Is(err, errDepth):
		return nil, r.realm.program.brokenf("outcome: %s: %v", at, err)
	case err != nil:
		return nil, err
	case !written:
		return nil, r.wrong(at, "a value of JSON", v)
	}
	r.out.Scratch = w.dst
	if err := r.room(0); err != nil {
		return nil, err
	}
	return w.dst[from:len(w.dst):len(w.dst)], nil
}

// time reads a Date, or what devices write: RFC 3339, Unix seconds or milliseconds.
func (r reader) time(at string, v goja.Value) (time.Time, error) {
	if !present(v) {
		return time.Time{}, nil
	}
	if o, ok := v.(*goja.Object); ok {
		if o.ExportType() == reflect.TypeFor[time.Time]() {
			if t, ok := o.Export().(time.Time); ok && inYears(t) {
				return t.UTC(), nil
			}
		}
		return time.Time{}, r.wrong(at, "a valid Date", v)
	}
	t, ok := value.Time([]byte(v.String()))
	if !ok || !inYears(t) {
		return time.Time{}, r.wrong(at, "a Date, RFC 3339, or Unix time", v)
	}
	return t, nil
}

// inYears reports whether RFC 3339 can write the time.
func inYears(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

func (r reader) properties(m *codec.Message, at string, v goja.Value) error {
	if !present(v) {
		return nil
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return r.wrong(at, "an object", v)
	}
	names := make(map[string]string)
	for _, key := range o.Keys() {
		p := o.Get(key)
		if !present(p) {
			continue
		}
		text := p.String()
		if _, object := p.(*goja.Object); object || len(text) > maxErrorText*2 || !utf8.ValidString(text) {
			return r.wrong(at+"."+key, "a short string, number or boolean", p)
		}
		names[key] = text
		if len(names) > maxProperties {
			break
		}
		m.Set(key, text)
	}
	if err := value.CheckProperties("", names, maxProperties); err != nil {
		return r.realm.program.brokenf("outcome: %s %v", at, err)
	}
	return nil
}

func (r reader) result(at string, v goja.Value) error {
	o, err := r.fields(at, v, "correlation", "payload", "error")
	if err != nil {
		return err
	}
	var result codec.Result
	if result.Correlation, err = r.text(at+".correlation", o.Get("correlation")); err != nil {
		return err
	}
	if p := o.Get("payload"); present(p) {
		if result.Payload, err = r.json(at+".payload", p); err != nil {
			return err
		}
	}
	if e := o.Get("error"); present(e) {
		text, err := r.text(at+".error", e)
		if err != nil {
			return err
		}
		result.Err = errors.New(text)
	}
	r.out.Results = append(r.out.Results, result)
	return nil
}

func isBroken(err error) bool { return errors.Is(err, codec.ErrBroken) }
