package command

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Bounds of the fields that callers give.
const (
	defaultTimeout = 20 // seconds; below the 30 that a direct method has by default
	longestTimeout = 270
	longestQueue   = 7 * 24 * 3600
	pageDefault    = 100
	pageMost       = 500 // some 200 bytes each, within a method's 128 KiB
	// identityPageMost is less, since each may have a reason of some hundred bytes.
	identityPageMost = 200
)

// Gateway is what the methods that ask about the gateway itself need.
type Gateway interface {
	// Status is a JSON-encodable description of the gateway.
	Status() any
	// Devices is a page of the connected devices after an id, and their number.
	Devices(after string, limit int) (page []any, total int)
	// Device describes one device; false when it is not connected.
	Device(id string) (any, bool)
	// SetLogLevel changes the level until the next configuration that names one.
	SetLogLevel(level string) error
}

// Methods answers direct methods.
type Methods struct {
	service *Service
	gateway Gateway
	letters DeadLetters
	decoder Decoder
	codecs  Codecs
	who     Identities
	doors   Doors
	table   map[string]func(context.Context, json.RawMessage) Answer
}

// Doors are what the methods about who may come in need.
type Doors struct {
	Bans       Bans
	Quarantine Quarantine
	Registry   Registry
}

// NewMethods makes the table of methods.
func NewMethods(
	s *Service, g Gateway, d DeadLetters, decoder Decoder, codecs Codecs, who Identities, doors Doors,
) *Methods {
	m := &Methods{service: s, gateway: g, letters: d, decoder: decoder, codecs: codecs, who: who, doors: doors}
	m.table = map[string]func(context.Context, json.RawMessage) Answer{
		"ping":             m.ping,
		"getStatus":        m.getStatus,
		"listDevices":      m.listDevices,
		"listIdentities":   m.listIdentities,
		"discardMessages":  m.discardMessages,
		"getDevice":        m.getDevice,
		"sendCommand":      m.sendCommand,
		"sendRaw":          m.sendRaw,
		"disconnectDevice": m.disconnectDevice,
		"setLogLevel":      m.setLogLevel,
		"decode":           m.decode,
		"putCodec":         m.putCodec,
		"reloadCodecs":     m.reloadCodecs,

		"listDeadLetters":   m.listDeadLetters,
		"replayDeadLetters": m.replayDeadLetters,

		"listBans":        m.listBans,
		"ban":             m.ban,
		"unban":           m.unban,
		"listQuarantine":  m.listQuarantine,
		"admitDevice":     m.admitDevice,
		"rejectDevice":    m.rejectDevice,
		"putDevice":       m.putDevice,
		"removeDevice":    m.removeDevice,
		"listAuthDevices": m.listAuthDevices,
		"exportDevices":   m.exportDevices,
		"importDevices":   m.importDevices,
	}
	return m
}

// Names returns the methods' names in ascending order.
func (m *Methods) Names() []string {
	names := make([]string, 0, len(m.table))
	for name := range m.table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Call answers a direct method.
func (m *Methods) Call(ctx context.Context, name string, payload json.RawMessage) Answer {
	method, ok := m.table[name]
	if !ok {
		return refuse(StatusBadRequest, fmt.Sprintf("unknown method %q", name), m.Names()...)
	}
	return method(ctx, payload)
}

// Input takes the body of a message for the input "commands": the same fields as
// sendCommand. It returns at once, because the hub sends the message again after
// 30 s without an answer; the end goes to Options.Ended under the given id. An
// error says that the message is refused: bad fields, or a full queue.
func (m *Methods) Input(_ context.Context, body json.RawMessage, id string) error {
	r, err := parseRequest(body)
	if err != nil {
		return err
	}
	return m.service.submit(r, id)
}

// fields decodes a payload strictly; no payload at all means no fields.
func fields(payload json.RawMessage, v any) error {
	trimmed := bytes.TrimSpace(payload)
	if len(trimmed) == 0 || bytes.Equal(trimmed, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(trimmed))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("payload: more than one JSON value")
	}
	return nil
}

func (m *Methods) ping(context.Context, json.RawMessage) Answer {
	return success(StatusOK, map[string]any{"pong": true, "time": time.Now().UTC()})
}

func (m *Methods) getStatus(context.Context, json.RawMessage) Answer {
	return success(StatusOK, m.gateway.Status())
}

func (m *Methods) listDevices(_ context.Context, payload json.RawMessage) Answer {
	in := struct {
		After string `json:"after"`
		Limit int    `json:"limit"`
	}{Limit: pageDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if in.Limit < 1 || in.Limit > pageMost {
		return refuse(StatusBadRequest, fmt.Sprintf("limit is %d, allowed are 1 to %d", in.Limit, pageMost))
	}
	page, total := m.gateway.Devices(in.After, in.Limit)
	if page == nil {
		page = []any{}
	}
	return success(StatusOK, map[string]any{"devices": page, "total": total})
}

// errMissing: a payload names no device.
var errMissing = errors.New("deviceId is missing")

type deviceField struct {
	DeviceID string `json:"deviceId"`
}

func parseDevice(payload json.RawMessage) (string, error) {
	var in deviceField
	if err := fields(payload, &in); err != nil {
		return "", err
	}
	if in.DeviceID == "" {
		return "", errMissing
	}
	return in.DeviceID, nil
}

func (m *Methods) getDevice(_ context.Context, payload json.RawMessage) Answer {
	id, err := parseDevice(payload)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	d, ok := m.gateway.Device(id)
	if !ok {
		return refuse(StatusNotFound, fmt.Sprintf("device %q is not connected", id))
	}
	return success(StatusOK, d)
}

func (m *Methods) disconnectDevice(_ context.Context, payload json.RawMessage) Answer {
	id, err := parseDevice(payload)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	d, ok := m.service.opts.Find(id)
	if !ok {
		return refuse(StatusNotFound, fmt.Sprintf("device %q is not connected", id))
	}
	d.Disconnect("disconnected-by-method")
	return success(StatusOK, map[string]any{"disconnected": true})
}

func (m *Methods) setLogLevel(_ context.Context, payload json.RawMessage) Answer {
	var in struct {
		Level string `json:"level"`
	}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if err := m.gateway.SetLogLevel(in.Level); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	return success(StatusOK, map[string]any{"level": in.Level})
}

func (m *Methods) sendCommand(ctx context.Context, payload json.RawMessage) Answer {
	r, err := parseRequest(payload)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	return m.service.Do(ctx, r)
}

func parseRequest(payload json.RawMessage) (Request, error) {
	r := Request{TimeoutSeconds: defaultTimeout}
	if err := fields(payload, &r); err != nil {
		return r, err
	}
	switch {
	case r.DeviceID == "":
		return r, errMissing
	case r.Command == "":
		return r, errors.New("command is missing")
	case r.TimeoutSeconds < 1 || r.TimeoutSeconds > longestTimeout:
		return r, fmt.Errorf("timeoutSeconds is %d, allowed are 1 to %d", r.TimeoutSeconds, longestTimeout)
	case r.QueueSeconds < 0 || r.QueueSeconds > longestQueue:
		return r, fmt.Errorf("queueSeconds is %d, allowed are 0 to %d", r.QueueSeconds, longestQueue)
	case r.Retry && r.QueueSeconds == 0:
		return r, errors.New("retry needs queueSeconds: until then the command is delivered again")
	default:
		return r, nil
	}
}

// rawRequest is the payload of sendRaw: exactly one of Hex, Base64 and Text.
type rawRequest struct {
	DeviceID          string  `json:"deviceId"`
	Hex               *string `json:"hex"`
	Base64            *string `json:"base64"`
	Text              *string `json:"text"`
	AwaitReplySeconds int     `json:"awaitReplySeconds"`
}

func (m *Methods) sendRaw(ctx context.Context, payload json.RawMessage) Answer {
	var in rawRequest
	err := fields(payload, &in)
	var b []byte
	if err == nil {
		b, err = given(in.Hex, in.Base64, in.Text)
	}
	switch {
	case err != nil:
		return refuse(StatusBadRequest, err.Error())
	case in.DeviceID == "":
		return refuse(StatusBadRequest, errMissing.Error())
	case in.AwaitReplySeconds < 0 || in.AwaitReplySeconds > longestTimeout:
		return refuse(StatusBadRequest, fmt.Sprintf(
			"awaitReplySeconds is %d, allowed are 0 to %d", in.AwaitReplySeconds, longestTimeout))
	}
	d, ok := m.service.opts.Find(in.DeviceID)
	if !ok {
		return refuse(StatusNotFound, fmt.Sprintf("device %q is not connected", in.DeviceID))
	}
	await := in.AwaitReplySeconds > 0
	ctx, cancel := context.WithTimeout(ctx, max(time.Duration(in.AwaitReplySeconds)*time.Second, time.Second))
	defer cancel()
	reply, err := d.Raw(ctx, b, await)
	if err != nil {
		return refuse(statusOf(err), err.Error())
	}
	out := map[string]any{"sent": len(b)}
	if await {
		out["replyHex"], out["replyText"] = hex.EncodeToString(reply), strings.ToValidUTF8(string(reply), ".")
	}
	return success(StatusOK, out)
}
