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
	"strings"
)

// send puts a message from the cloud before a leaf device.
func send(ctx context.Context, args []string, _, stderr io.Writer) error {
	var c client
	rest, err := parse(flagsOf("send", &c, stderr), args)
	if err != nil || len(rest) < 2 {
		return orMisuse(err, "send takes <device> <body> [name=value ...]")
	}
	query, err := properties(rest[2:])
	if err != nil {
		return err
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	path := "/devices/" + url.PathEscape(rest[0]) + "/messages/devicebound?" + query.Encode()
	return c.call(ctx, http.MethodPost, path, []byte(rest[1]), nil)
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

// service prints the service side's connection string. It comes from the state folder,
// which only its owner may read, and not over the control port, which asks nobody who
// they are.
func service(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var c client
	if rest, err := parse(flagsOf("service", &c, stderr), args); err != nil || len(rest) > 0 {
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
	_, err = fmt.Fprintln(stdout, ready.ServiceConnection)
	return err
}
