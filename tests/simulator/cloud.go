package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// send puts a message from the cloud before a leaf device. It prints the message's id, or
// with -wait what became of it.
func send(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	flags := flagsOf("send", &c, stderr)
	id := flags.String("id", "", "`id` of the message (default one of its own)")
	ttl := flags.Duration("ttl", 0, "`time` that the message waits for the device (default an hour)")
	patience := flags.Duration("wait", 0, "`time` to wait for what becomes of it, at most 5m")
	rest, err := parse(flags, args)
	if err != nil || len(rest) < 2 {
		return orMisuse(err, "send takes <device> <body> [name=value ...]")
	}
	query, err := properties(rest[2:])
	if err != nil {
		return err
	}
	if *id != "" {
		query.Set("$.mid", *id)
	}
	if *ttl > 0 {
		query.Set("$.ttl", ttl.String())
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	since, err := c.lastEnd(ctx)
	if err != nil {
		return err
	}
	var answer struct {
		MessageID string `json:"messageId"`
	}
	path := "/devices/" + url.PathEscape(rest[0]) + "/messages/devicebound?" + query.Encode()
	if err := c.call(ctx, http.MethodPost, path, []byte(rest[1]), &answer); err != nil {
		return err
	}
	if *patience <= 0 {
		_, err = fmt.Fprintln(stdout, answer.MessageID)
		return err
	}
	return c.awaitEnd(ctx, stdout, since, rest[0], answer.MessageID, *patience)
}

// lastEnd is the number of the newest end of a message.
func (c *client) lastEnd(ctx context.Context) (uint64, error) {
	var list []edge.End
	if err := c.call(ctx, http.MethodGet, "/feedback", nil, &list); err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1].Sequence, nil
}

// awaitEnd prints what becomes of a message.
func (c *client) awaitEnd(
	ctx context.Context, out io.Writer, since uint64, device, id string, patience time.Duration,
) error {
	deadline := time.Now().Add(patience)
	for left := patience; left > 0; left = time.Until(deadline) {
		var list []edge.End
		path := "/feedback?since=" + strconv.FormatUint(since, 10) + "&wait=" + min(left, time.Minute).String()
		if err := c.call(ctx, http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		for _, end := range list {
			since = end.Sequence
			if end.Device != device || end.MessageID != id {
				continue
			}
			if _, err := fmt.Fprintln(out, id, end.Status); err != nil {
				return err
			}
			if end.Status != edge.FeedbackSuccess {
				return &codedError{exitStatus, fmt.Errorf("message %s to %s: %s", id, device, end.Status)}
			}
			return nil
		}
	}
	return &codedError{exitTimeout, fmt.Errorf("message %s to %s is not settled", id, device)}
}

// leaf changes the registry's leaf devices.
func leaf(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	rest, err := parse(flagsOf("leaf", &c, stderr), args)
	if err != nil || len(rest) < 2 || len(rest) > 3 {
		return orMisuse(err, "leaf takes add, key, disable, enable or remove, a device, and for add and key a key")
	}
	verb, path, body, err := leafRequest(rest)
	if err != nil {
		return err
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	data, err := c.raw(ctx, verb, path, body)
	if err != nil {
		return err
	}
	return pretty(stdout, data)
}

// leafRequest turns the words into a request of the control API.
func leafRequest(words []string) (verb, path string, body []byte, err error) {
	word, device, key := words[0], words[1], ""
	if len(words) == 3 {
		key = words[2]
	}
	var request any
	switch {
	case word == "add":
		request, path = map[string]string{"id": device, "key": key}, "/leaves"
	case word == "key" && key != "":
		request, path = map[string]string{"device": device, "key": key}, "/identities"
	case (word == "disable" || word == "enable") && key == "":
		request, path = map[string]any{"device": device, "disabled": word == "disable"}, "/identities"
	case word == "remove" && key == "":
		return http.MethodDelete, "/identities?identity=" + url.QueryEscape(device+"/"), nil, nil
	default:
		return "", "", nil, misuse("unknown request %q of leaf", words)
	}
	body, err = json.Marshal(request)
	return http.MethodPost, path, body, err
}

// properties reads name=value.
func properties(pairs []string) (url.Values, error) {
	query := url.Values{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, misuse("property %q must be name=value", pair)
		}
		query.Set(name, value)
	}
	return query, nil
}

// service prints the service side's connection string, or that of devices without an edge
// device. It comes from the state folder, which only its owner may read, and not over the
// control port, which asks nobody who they are.
func service(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	flags := flagsOf("service", &c, stderr)
	direct := flags.Bool("direct", false, "the connection string by which devices connect straight to IoT Hub")
	if rest, err := parse(flags, args); err != nil || len(rest) > 0 {
		return orMisuse(err, "service takes no arguments")
	}
	path := filepath.Join(c.state, readyFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("find the simulator: none has left its address in %s; is it up?: %w", c.state, err)
	}
	var ready Ready
	if err := json.Unmarshal(data, &ready); err != nil {
		return fmt.Errorf("find the simulator: %s: %w", path, err)
	}
	text := ready.ServiceConnection
	if *direct {
		text = ready.DirectConnection
	}
	_, err = fmt.Fprintln(stdout, text)
	return err
}
