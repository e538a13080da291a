package wasm

import (
	"errors"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// dialogue is one link. It has the add-ons of codec but Framer and Explainer; what
// the module does not export returns errors.ErrUnsupported.
type dialogue struct {
	hold     *hold
	instance *instance
	number   uint32
	cleanup  runtime.Cleanup
}

// splitting is a dialogue of a module that cuts the stream.
type splitting struct{ *dialogue }

// begin tells the module who is there.
func (d *dialogue) begin(peer codec.Peer) error {
	i := d.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.program.has[fnBegin] {
		return i.broken
	}
	b := appendRecord(i.input[:0], tagListener, peer.Listener)
	b = appendRecord(b, tagTransport, peer.Transport)
	if peer.Remote.IsValid() {
		b = appendRecord(b, tagRemote, peer.Remote.String())
	}
	if peer.TLS != nil {
		b = appendRecord(b, tagCommonName, peer.TLS.CommonName)
		for _, name := range peer.TLS.Names {
			b = appendRecord(b, tagTLSName, name)
		}
		b = appendRecord(b, tagFingerprint, peer.TLS.Fingerprint)
	}
	i.input = b
	at, n, err := i.put(b)
	if err != nil {
		return err
	}
	result, err := i.call(fnBegin, uint64(d.number), at, n)
	if err != nil {
		return err
	}
	return i.outcome(result, &codec.Outcome{}) // all that a link begins with is an error
}

// Close implements codec.Closer. It makes room at once; a dialogue that is forgotten
// instead is found by the garbage collector.
func (d *dialogue) Close() error {
	d.cleanup.Stop()
	d.hold.release()
	return nil
}

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	i := d.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	at, n, err := i.put(f.Bytes)
	if err != nil {
		return err
	}
	return i.step(i.receive, out, uint64(d.number), uint64(f.At.UnixNano()), at, n)
}

// step calls a function that leads to an outcome.
func (i *instance) step(f api.Function, out *codec.Outcome, params ...uint64) error {
	result, err := i.callFunction(f, i.program.limits.Fuel, params...)
	if log := i.program.limits.Log; log != nil && len(i.host.words) > 0 {
		log(i.host.words)
	}
	if err != nil {
		return err
	}
	return i.outcome(result, out)
}

// Command implements codec.Commander.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	i := d.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.program.has[fnCommand] {
		return errors.ErrUnsupported
	}
	b := appendRecord(i.input[:0], tagCorrelation, c.Correlation)
	b = appendRecord(b, tagCommand, c.Name)
	b = appendRecord(b, tagCommandPayload, string(c.Payload))
	i.input = b
	at, n, err := i.put(b)
	if err != nil {
		return err
	}
	return i.step(i.keep(fnCommand), out, uint64(d.number), at, n)
}

// Tick implements codec.Ticker. A module without timers has nothing to say.
func (d *dialogue) Tick(now time.Time, out *codec.Outcome) error {
	i := d.instance
	if !i.program.has[fnTick] {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.step(i.keep(fnTick), out, uint64(d.number), uint64(now.UnixNano()))
}

// Resume implements codec.Resumer.
func (d *dialogue) Resume(device string) error {
	i := d.instance
	if !i.program.has[fnResume] {
		return errors.ErrUnsupported
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.input = append(i.input[:0], device...)
	at, n, err := i.put(i.input)
	if err != nil {
		return err
	}
	result, err := i.call(fnResume, uint64(d.number), at, n)
	if err != nil {
		return err
	}
	return i.outcome(result, &codec.Outcome{}) // nothing is answered
}

// Split implements codec.Framer.
func (d splitting) Split(data []byte, atEOF bool) (advance int, frame []byte, err error) {
	i := d.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.split(d.number, data, atEOF)
}
