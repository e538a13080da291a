package gateway

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/twin"
)

const (
	// inputCommands is the module input that takes commands as messages.
	inputCommands = "commands"
	// outputResults carries the ends of commands that nobody waits for.
	outputResults = "results"
	// resultTimeout is how long the end of a command may wait for the hub or the disk
	// before it is left for the next start.
	resultTimeout = 30 * time.Second
	// desiredTimeout is how long a device has to confirm desired values.
	desiredTimeout = 30 * time.Second
)

// hubOptions reads the environment in either of its styles.
func (g *Gateway) hubOptions() (hub.Options, error) {
	env := g.opts.Environment
	o := hub.Options{
		Version: "causeway/" + g.opts.Version, TokenTTL: env.TokenTTL,
		Protocol: hub.Protocol(env.Hub.UpstreamProtocol), Handler: handler{g}, Observer: g.observers,
	}
	o.Identity = hub.Identity{
		HubName: env.Hub.IoTHubHostName, Gateway: env.Hub.Host(), Device: env.Hub.DeviceID, Module: env.Hub.ModuleID,
	}
	if env.Hub.Style == config.StyleConnectionString {
		key, err := hub.NewKey(env.Hub.Key.Reveal())
		if err != nil {
			return o, err
		}
		o.Credential, o.Roots = hub.Credential{Signer: key, Policy: env.Hub.Policy}, rootsFile(env.Hub.CACertificateFile)
		return o, nil
	}
	w, err := hub.NewWorkload(env.Hub.WorkloadURI, env.Hub.ModuleID, env.Hub.GenerationID)
	if err != nil {
		return o, err
	}
	g.workload = w
	o.Credential, o.Roots = hub.Credential{Signer: w}, w.TrustBundle
	if env.Hub.Direct() { // the system's roots
		o.Roots = rootsFile("")
	}
	return o, nil
}

// rootsFile returns the certificates of a file; no file means the system's.
func rootsFile(path string) func(context.Context) (*x509.CertPool, error) {
	return func(context.Context) (*x509.CertPool, error) {
		if path == "" {
			return x509.SystemCertPool()
		}
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("ca certificate: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca certificate: none in %s", path)
		}
		return pool, nil
	}
}

// handler is where what the hub sends down enters the gateway.
type handler struct{ g *Gateway }

// Connected implements hub.Handler.
func (h handler) Connected() { h.g.desired.Connected() }

// Desired implements hub.Handler.
func (h handler) Desired(patch json.RawMessage) { h.g.desired.Patch(patch) }

// Method implements hub.Handler.
func (h handler) Method(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
	a := h.g.methods.Call(ctx, name, payload)
	h.g.observers.method(name, a.Status)
	return a.Status, a.Payload
}

// Input implements hub.Handler.
func (h handler) Input(ctx context.Context, in hub.Input) error {
	if in.Name != inputCommands {
		return fmt.Errorf("unknown input %q, known is %q", in.Name, inputCommands)
	}
	return h.g.methods.Input(ctx, in.Body, h.inputID())
}

// inputID names a command that came as a message, distinct over restarts too.
func (h handler) inputID() string {
	const base = 36
	n := h.g.results.Add(1)
	return "input-" + strconv.FormatInt(h.g.began.UnixMilli(), base) + "-" + strconv.FormatUint(n, base)
}

// commandEnded sends the end of a command that nobody waits for to the output
// "results", and waits until it is safe.
func (g *Gateway) commandEnded(ctx context.Context, r command.Request, id string, a command.Answer) error {
	body, err := json.Marshal(map[string]any{
		"commandId": id, "deviceId": r.DeviceID, "command": r.Command, "status": a.Status, "payload": a.Payload,
	})
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, resultTimeout)
	defer cancel()
	settled := make(resultReceipt, 1)
	err = g.uplink.Send(ctx, []message.Message{{
		Device: r.DeviceID, Listener: inputCommands, Codec: "causeway", Output: outputResults,
		Epoch: uint64(g.began.UnixMilli()), Seq: g.results.Add(1), //nolint:gosec // a time after 1970
		Body: body, ContentType: "application/json", ContentEncoding: "utf-8", Created: time.Now(),
	}}, settled)
	if err != nil {
		return fmt.Errorf("send result: %w", err)
	}
	select {
	case err := <-settled:
		if errors.Is(err, message.ErrRefused) {
			g.log.Error().Err(err).Str("device", r.DeviceID).Str("command", r.Command).Msg("command result refused")
			return nil // it is a dead letter, and will not be taken the next time either
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("send result: %w", ctx.Err())
	}
}

// resultReceipt hears of one result; it has room for it.
type resultReceipt chan error

// Settled implements message.Receipt.
func (r resultReceipt) Settled(err error) { r <- err }

// pushDesired implements twin.Push.
func (g *Gateway) pushDesired(ctx context.Context, id string, desired json.RawMessage) (json.RawMessage, error) {
	s := g.table.Find(id)
	if s == nil {
		return nil, twin.ErrAbsent
	}
	ctx, cancel := context.WithTimeout(ctx, desiredTimeout)
	defer cancel()
	result, err := s.Give(ctx, session.Order{Device: id, Name: codec.CommandDesired, Payload: desired})
	if result.Unconfirmed {
		if string(desired) == "{}" { // there is nothing to confirm
			return nil, nil
		}
		return nil, twin.ErrUnconfirmed
	}
	return result.Payload, errors.Join(err, result.Err)
}

// applyDesired takes a whole desired document from the twin.
func (g *Gateway) applyDesired(desired json.RawMessage, version int64) {
	ctx, cancel := context.WithTimeout(g.work, certificateCall)
	defer cancel()
	g.apply(ctx, desired, version)
}
