package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/control"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func messages(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	flags := flagsOf("messages", &c, stderr)
	follow := flags.Bool("f", false, "wait for more")
	n := flags.Uint64("n", 20, "`number` of past messages; 0 with -f for none")
	asJSON := flags.Bool("json", false, "one JSON object a line")
	if rest, err := parse(flags, args); err != nil || len(rest) > 0 {
		return orMisuse(err, "messages takes no arguments")
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	var stats edge.Stats
	if err := c.call(ctx, http.MethodGet, "/stats", nil, &stats); err != nil {
		return err
	}
	since := stats.Sequence - min(*n, stats.Sequence)
	for {
		wait := ""
		if *follow {
			wait = "&wait=60"
		}
		var list []control.Message
		path := "/messages?limit=1000&since=" + strconv.FormatUint(since, 10) + wait
		err := c.call(ctx, http.MethodGet, path, nil, &list)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // interrupted, which is how -f ends
		}
		if err != nil {
			return err
		}
		for i := range list {
			since = list[i].Sequence
			if err := printMessage(stdout, &list[i], *asJSON); err != nil {
				return err
			}
		}
		if !*follow && len(list) == 0 {
			return nil
		}
	}
}

func printMessage(out io.Writer, m *control.Message, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(m)
	}
	body := []byte(m.Body)
	if body == nil {
		body = m.BodyBase64
	}
	from := edge.Identity{Device: m.Device, Module: m.Module}
	_, err := fmt.Fprintln(out, line(m.Enqueued, from, m.Output, m.Properties, body))
	return err
}

// orMisuse is the error of the flags, or else that the arguments are wrong.
func orMisuse(err error, text string) error {
	if err != nil {
		return err
	}
	return misuse("%s", text)
}

func method(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	flags := flagsOf("method", &c, stderr)
	timeout := flags.Int("timeout", 30, "`seconds` to wait for the answer, 5 to 300")
	connect := flags.Int("connect", 0, "`seconds` to wait for the module, 0 to 300")
	rest, err := parse(flags, args)
	if err != nil || len(rest) < 2 || len(rest) > 3 {
		return orMisuse(err, "method takes <module> <name> [payload]")
	}
	payload := json.RawMessage("null")
	if len(rest) == 3 {
		if payload = json.RawMessage(rest[2]); !json.Valid(payload) {
			return misuse("payload %q must be JSON", rest[2])
		}
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"methodName": rest[1], "payload": payload,
		"responseTimeoutInSeconds": *timeout, "connectTimeoutInSeconds": *connect,
	})
	if err != nil {
		return fmt.Errorf("method: %w", err)
	}
	var result edge.MethodResult
	err = c.call(ctx, http.MethodPost, c.twinPath(rest[0])+"/methods", body, &result)
	var status *statusError
	switch {
	case errors.As(err, &status) && status.status == http.StatusNotFound:
		return &codedError{exitNotConnected, err}
	case errors.As(err, &status) && status.status == http.StatusGatewayTimeout:
		return &codedError{exitTimeout, err}
	case err != nil:
		return err
	}
	if err := json.NewEncoder(stdout).Encode(result); err != nil {
		return fmt.Errorf("method: %w", err)
	}
	if result.Status >= 300 {
		return &codedError{exitStatus, fmt.Errorf("%s answered with status %d", rest[0], result.Status)}
	}
	return nil
}

func twinCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	rest, err := parse(flagsOf("twin", &c, stderr), args)
	get, patch := len(rest) == 2 && rest[0] == "get", len(rest) == 3 && rest[0] == "patch"
	if err != nil || !get && !patch {
		return orMisuse(err, "twin takes get <module>, or patch <module> <json>")
	}
	var body []byte
	verb := http.MethodGet
	if patch {
		if !json.Valid([]byte(rest[2])) {
			return misuse("patch %q must be a JSON object", rest[2])
		}
		verb, body = http.MethodPatch, []byte(`{"properties":{"desired":`+rest[2]+`}}`)
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	data, err := c.raw(ctx, verb, c.twinPath(rest[1]), body)
	if err != nil {
		return err
	}
	return pretty(stdout, data)
}

func input(ctx context.Context, args []string, _, stderr io.Writer) error {
	var c client
	rest, err := parse(flagsOf("input", &c, stderr), args)
	if err != nil || len(rest) < 3 {
		return orMisuse(err, "input takes <module> <input> <body> [name=value ...]")
	}
	query, err := properties(rest[3:])
	if err != nil {
		return err
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	path := "/inputs/" + url.PathEscape(rest[0]) + "/" + url.PathEscape(rest[1]) + "?" + query.Encode()
	return c.call(ctx, http.MethodPost, path, []byte(rest[2]), nil)
}

func env(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	flags := flagsOf("env", &c, stderr)
	style := flags.String("style", "workload", "`style`: workload or connectionstring")
	rest, err := parse(flags, args)
	if err != nil || len(rest) != 1 {
		return orMisuse(err, "env takes <module>")
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	var values map[string]string
	path := "/env/" + url.PathEscape(rest[0]) + "?style=" + url.QueryEscape(*style)
	if err := c.call(ctx, http.MethodGet, path, nil, &values); err != nil {
		return err
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		// Quoted for a shell, so that eval "$(simulator env m)" works.
		fmt.Fprintf(stdout, "export %s='%s'\n", name, strings.ReplaceAll(values[name], "'", `'\''`))
	}
	return nil
}

func stats(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	if rest, err := parse(flagsOf("stats", &c, stderr), args); err != nil || len(rest) > 0 {
		return orMisuse(err, "stats takes no arguments")
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	data, err := c.raw(ctx, http.MethodGet, "/stats", nil)
	if err != nil {
		return err
	}
	return pretty(stdout, data)
}
