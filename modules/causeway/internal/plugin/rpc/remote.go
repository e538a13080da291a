package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// remote is the codec of one listener.
type remote struct {
	client  *Client
	options []byte

	mu     sync.Mutex
	spec   string // of the cutter
	cutter Cutter
}

// Begin implements codec.Codec. The type of the dialogue says who cuts the stream.
func (r *remote) Begin(p codec.Peer) (codec.Dialogue, error) {
	d, err := r.open(p, false)
	if err != nil {
		return nil, err
	}
	switch spec := d.manifest.GetFraming(); {
	case p.Datagram():
		return d, nil
	case spec != "":
		cutter, err := r.settle(spec)
		if err != nil {
			d.end(err)
			return nil, err
		}
		return framed{d, cutter}, nil
	case d.manifest.GetSplit():
		return splitting{d}, nil
	default:
		return d, nil
	}
}

// settle returns the cutter for the framing that the plugin names. All links of a
// listener are told the same one, as a rule.
func (r *remote) settle(spec string) (Cutter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cutter != nil && r.spec == spec {
		return r.cutter, nil
	}
	refuse := func(err error) (Cutter, error) {
		return nil, fmt.Errorf("%w: plugin %s names the framing %.200s: %w", codec.ErrBroken, r.client.name, spec, err)
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal([]byte(spec), &kind); err != nil {
		return refuse(err)
	}
	if kind.Type == "gap" || kind.Type == "datagram" || r.client.config.Framing == nil {
		return refuse(fmt.Errorf("a plugin cannot choose the type %q, a listener can", kind.Type))
	}
	cutter, err := r.client.config.Framing(json.RawMessage(spec))
	if err != nil {
		return refuse(err)
	}
	r.spec, r.cutter = spec, cutter
	return cutter, nil
}

// open begins a dialogue on one endpoint after the other, within one deadline.
func (r *remote) open(p codec.Peer, probe bool) (*dialogue, error) {
	c := r.client
	ctx, cancel := context.WithTimeout(c.ctx, c.config.Deadline)
	defer cancel()
	candidates, err := c.candidates(ctx)
	if err != nil {
		return nil, err
	}
	step := &codecv1.Step{Kind: &codecv1.Step_Begin{Begin: &codecv1.Begin{
		Options: r.options, Peer: peerOf(p), Probe: probe,
	}}}
	for i, e := range candidates {
		until, _ := ctx.Deadline()
		patience := time.Until(until) / time.Duration(len(candidates)-i) // a silent one leaves time for the others
		var d *dialogue
		if d, err = c.begin(e, step, patience); err == nil {
			return d, nil
		}
		if _, answered := asFailure(err); answered {
			break // another would say the same
		}
	}
	return nil, err
}

// begin begins a dialogue on the endpoint.
func (c *Client) begin(e *endpoint, step *codecv1.Step, patience time.Duration) (*dialogue, error) {
	ctx, cancel := context.WithCancelCause(c.ctx)
	d := &dialogue{client: c, endpoint: e, ctx: ctx, end: cancel}
	d.timer = time.AfterFunc(patience, func() { cancel(errLate) })
	stream, err := codecv1.NewCodecClient(e.conn).Dialogue(ctx)
	if err != nil {
		return nil, d.fail(err, patience)
	}
	d.stream = stream
	answer, err := d.call(step, len(step.GetBegin().GetOptions()), patience)
	if err != nil {
		return nil, err
	}
	if f := answer.GetFailure(); f != nil {
		err := failed(f)
		d.end(err)
		return nil, err
	}
	if d.manifest = answer.GetManifest(); d.manifest == nil {
		return nil, d.wrong("no manifest in answer to begin")
	}
	// A dialogue that nobody closes must not hold its call for ever.
	runtime.AddCleanup(d, func(end context.CancelCauseFunc) { end(errClosed) }, cancel)
	return d, nil
}

func peerOf(p codec.Peer) *codecv1.Peer {
	out := &codecv1.Peer{Listener: p.Listener, Transport: p.Transport}
	if p.Remote.IsValid() {
		out.Address = p.Remote.String()
	}
	if id := p.TLS; id != nil {
		out.Tls = &codecv1.TLSIdentity{CommonName: id.CommonName, Names: id.Names, Fingerprint: id.Fingerprint}
	}
	return out
}
