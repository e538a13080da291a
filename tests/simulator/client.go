package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// client speaks to a running simulator.
type client struct {
	control, state string
	device         string
}

// controlVariable names the control API's URL in the environment.
const controlVariable = "CAUSEWAY_SIMULATOR"

// flagsOf returns a command's flags with those that find the simulator.
func flagsOf(name string, c *client, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("simulator "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.control, "control", os.Getenv(controlVariable), "`URL` of the simulator's control API")
	flags.StringVar(&c.state, "state", defaultState(), "state `dir` of the simulator, asked when there is no URL")
	return flags
}

// find settles the URL and the edge device's id.
func (c *client) find(ctx context.Context) error {
	if c.control == "" {
		data, err := os.ReadFile(filepath.Join(c.state, readyFile))
		if err != nil {
			return fmt.Errorf("find the simulator: none has left its address in %s; is it up?: %w", c.state, err)
		}
		var ready Ready
		if err := json.Unmarshal(data, &ready); err != nil {
			return fmt.Errorf("find the simulator: %s: %w", filepath.Join(c.state, readyFile), err)
		}
		c.control, c.device = ready.Control, ready.Device
	}
	if c.device != "" {
		return nil
	}
	var about struct {
		Device string `json:"device"`
	}
	if err := c.call(ctx, http.MethodGet, "/healthz", nil, &about); err != nil {
		return err
	}
	c.device = about.Device
	return nil
}

// statusError is an answer that is not 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.text) }

// call sends a request and decodes its answer into the given pointer, unless it is nil.
func (c *client) call(ctx context.Context, method, path string, body []byte, into any) error {
	data, err := c.raw(ctx, method, path, body)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("answer of %s: %w", path, err)
	}
	return nil
}

// maxAnswer bounds an answer: 1,000 messages of 256 KiB in base64.
const maxAnswer = 400 << 20

func (c *client) raw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.control, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the simulator: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the simulator: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("ask the simulator: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, &statusError{response.StatusCode, errorText(data)}
	}
	return data, nil
}

// errorText finds the message in either form of errors, also inside the service's text.
func errorText(data []byte) string {
	for range 3 {
		var fields struct {
			Lower string `json:"message"`
			Upper string `json:"Message"`
		}
		if json.Unmarshal(data, &fields) != nil || fields.Lower+fields.Upper == "" {
			break
		}
		// encoding/json matches names in any case, so either field holds it.
		if data = []byte(fields.Lower); len(data) == 0 {
			data = []byte(fields.Upper)
		}
	}
	return strings.TrimSpace(string(data))
}

// twinPath is the service path of a module, or of device/module, or of device/.
func (c *client) twinPath(identity string) string {
	device, module, ok := strings.Cut(identity, "/")
	if !ok {
		device, module = c.device, identity
	}
	path := "/twins/" + url.PathEscape(device)
	if module != "" {
		path += "/modules/" + url.PathEscape(module)
	}
	return path
}

// pretty writes JSON with indentation.
func pretty(out io.Writer, data []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(data), "", "  "); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}
