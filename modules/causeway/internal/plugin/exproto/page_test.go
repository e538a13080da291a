package exproto

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestThePageComesTrue(t *testing.T) {
	const page = "../../../../../docs/codecs/exproto.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	settings := strings.Split(string(text), "\n```json settings\n")[1:]
	if len(settings) == 0 {
		t.Error("the page shows no settings")
	}
	for _, s := range settings {
		s, _, _ = strings.Cut(s, "\n```")
		if _, err := ParseConfig(json.RawMessage(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	a, _, _ := start(t, Config{})
	if _, err := say(begin(t, a, "", codec.Peer{Transport: "udp"}), "ping"); err != nil {
		t.Fatal(err)
	}
	codectest.Readme(t, a.New, page)
}
