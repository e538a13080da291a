package main

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	client "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// endpoint is that of another server of the same codec, which is tried in place of
// this one: tests/interop has one in Python.
var endpoint = flag.String("endpoint", "", "host:port of a server to try")

// page is the guide whose examples this package proves.
const page = "../../../../../../docs/codecs/rpc.md"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects the gateway's side, with the settings that the guide shows.
func dial(t *testing.T, settings, address string) *client.Client {
	t.Helper()
	config, err := client.ParseConfig(json.RawMessage(settings))
	if err != nil {
		t.Fatal(err)
	}
	config.Endpoints, config.TLS = []string{address}, nil
	config.Framing = func(spec json.RawMessage) (client.Cutter, error) { return frame.Parse(spec, 1<<20) }
	c, err := client.Dial(context.Background(), "meter", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestTheGuideComesTrueOverTheWire(t *testing.T) {
	address := *endpoint
	if address == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- rpc.Server{Factory: New, Framing: framing}.Serve(ctx, l) }()
		t.Cleanup(func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	settings := fenced(t, "json settings")
	if len(settings) == 0 {
		t.Fatal("the guide shows no settings")
	}
	for _, s := range settings {
		codectest.Readme(t, dial(t, s, address).New, page)
	}
	codectest.Replay(t, dial(t, settings[0], address).New, "testdata")
}

func TestTheGuideShowsTheseFiles(t *testing.T) {
	shown := fenced(t, "go")
	for _, name := range []string{"main.go", "main_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range shown {
			found = found || s == string(text)
		}
		if !found {
			t.Errorf("no block of %s is %s as it is", page, name)
		}
	}
}

func TestTheGuidesListenerIsOne(t *testing.T) {
	blocks := fenced(t, "json listener")
	if len(blocks) != 1 {
		t.Fatalf("%d listeners are shown", len(blocks))
	}
	var l struct {
		Bind  string `json:"bind"`
		Codec string `json:"codec"`
	}
	if err := codec.DecodeOptions(json.RawMessage(blocks[0]), &l); err != nil || l.Codec != "meter" {
		t.Errorf("%+v, %v", l, err)
	}
}

// fenced returns the blocks of the guide that are marked so.
func fenced(t *testing.T, mark string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n```"+mark+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, block+"\n")
	}
	return blocks
}
