package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// lineScript and lineLayout are the protocol of the fleet's line devices, as a script and
// as a layout. VERSION is told in each message.
const lineScript = `
module.exports = {
  receive(frame) {
    const columns = toText(frame, "ascii").split(",");
    if (columns.length !== 4) throw new Malformed("got " + columns.length + " columns");
    const body = { seq: Number(columns[1]), value: Number(columns[3]), version: VERSION };
    return { messages: [{ device: columns[0], time: columns[2], body }], ack: "OK" };
  },
};
`

const lineLayout = `
layout: 1
messages:
  line:
    fields:
      - split: ","
        fields:
          - {name: id, required: true}
          - {name: seq, type: int, required: true}
          - {name: time, type: time, required: true}
          - {name: value, type: number, required: true}
    message: {device: id, time: time, body: {seq: seq, value: value, version: "VERSION"}}
    ack: {body: [{text: OK}]}
`

// brokenExample makes a layout that is refused at load.
const brokenExample = `
examples:
  - name: a line
    dialogue: |
      > "line-1,1,2026-01-01T00:00:00Z,20.5\n"
      = {"device":"somebody else"}
`

func digestOf(program string) string {
	sum := sha256.Sum256([]byte(program))
	return hex.EncodeToString(sum[:])
}

// exchanged is a gateway whose line devices are served by a codec of the twin.
type exchanged struct {
	t   *testing.T
	sim *world.Simulator
	dir string // of programs
}

// file writes a program and returns what the twin says of it.
func (x *exchanged) file(kind, program string) map[string]any {
	x.t.Helper()
	path := filepath.Join(x.dir, digestOf(program)[:12]+"."+kind)
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return map[string]any{"kind": kind, "source": "file://" + path, "sha256": digestOf(program)}
}

// desire gives the listener a codec, and expects the gateway's verdict.
func (x *exchanged) desire(codec map[string]any, code int, saying string) {
	x.t.Helper()
	x.sim.Patch(map[string]any{"codecs": map[string]any{"fleet": codec}})
	s := x.sim.Decided().Properties.Reported.LastDesiredStatus
	if s.Code != code || !strings.Contains(s.Description, saying) {
		x.t.Fatalf("the patch was answered with %d: %s; want %d, %q", s.Code, s.Description, code, saying)
	}
}

// put delivers a program in parts by the direct method.
func (x *exchanged) put(program string, parts int) {
	x.t.Helper()
	size := (len(program) + parts - 1) / parts
	for i, part := range slices.Collect(slices.Chunk([]byte(program), size)) {
		status, payload := x.sim.Method("putCodec", map[string]any{
			"sha256": digestOf(program), "part": i + 1, "parts": parts, "base64": base64.StdEncoding.EncodeToString(part),
		})
		if want := fmt.Sprintf(`"missing":%d`, parts-1-i); status != 200 || !strings.Contains(string(payload), want) {
			x.t.Fatalf("part %d: status %d, payload %s", i+1, status, payload)
		}
	}
}

// lines are the messages of the fleet's line devices.
type lines map[string][]struct{ Seq, Version int }

func (x *exchanged) lines() lines {
	x.t.Helper()
	all := make(lines)
	for _, m := range x.sim.Messages(0) {
		var body struct{ Seq, Version int }
		if err := json.Unmarshal(m.Body, &body); err != nil || body.Seq == 0 || body.Version == 0 {
			x.t.Fatalf("output %s, body %s, properties %v: %v", m.Output, m.Body, m.Properties, err)
		}
		all[m.Properties["deviceId"]] = append(all[m.Properties["deviceId"]], body)
	}
	return all
}

// serves waits until every device has been served by a version.
func (x *exchanged) serves(version, devices int) {
	x.t.Helper()
	world.Eventually(x.t, 30*time.Second, fmt.Sprintf("version %d serves all devices", version), func() bool {
		n := 0
		for _, list := range x.lines() {
			if list[len(list)-1].Version == version {
				n++
			}
		}
		return n == devices
	})
}

func TestACodecIsExchangedUnderTheFleetWithoutLossRepetitionOrAClosedLink(t *testing.T) {
	t.Parallel()
	x := &exchanged{t: t, dir: t.TempDir()}
	script := func(version string) string { return strings.ReplaceAll(lineScript, "VERSION", version) }
	layout := func(version string) string { return strings.ReplaceAll(lineLayout, "VERSION", version) }
	first, err := json.Marshal(x.file("js", script("1")))
	if err != nil {
		t.Fatal(err)
	}
	x.sim = built.StartSimulator(t, `{"schemaVersion": "1.0", "codecs": {"fleet": `+string(first)+`},
		"listeners": {"lines": {"bind": "tcp://127.0.0.1:0", "codec": "fleet", "frame": {"type": "line"}}}}`)
	g := built.StartGateway(t, x.sim, world.Workload)
	const devices = 8
	f := built.StartFleet(t, world.Addresses{Lines: g.Addr("lines")}, "-trackers", "0", "-udp-trackers", "0", "-meters", "0",
		"-lines", fmt.Sprint(devices), "-rate", "50", "-ack-timeout", "20s") // nothing is sent twice but after a loss
	x.serves(1, devices)

	x.desire(x.file("js", script("2")), 200, "")
	x.serves(2, devices)
	third := layout("3")
	x.desire(map[string]any{"kind": "layout", "source": "put:", "sha256": digestOf(third)}, 400, "not delivered")
	x.put(third, 3)
	x.serves(3, devices)
	x.desire(x.file("layout", layout("4")+brokenExample), 400, "example does not come true")
	x.desire(x.file("layout", layout("5")), 200, "")
	x.serves(5, devices)
	x.desire(x.file("js", script("6")), 200, "")
	x.serves(6, devices)

	_, metrics := g.Get("/metrics")
	if strings.Contains(metrics, "\ncauseway_links_closed_total{") {
		t.Error("a link was closed")
	}
	if code := f.Proc.Terminate(t); code != 0 {
		t.Errorf("fleet: exit code %d", code)
	}
	f.Check(x.sim, time.Minute)
	x.complete(devices)
}

// complete checks that each device's messages came once and in order, by versions that
// only grow.
func (x *exchanged) complete(devices int) {
	x.t.Helper()
	all := x.lines()
	if len(all) != devices {
		x.t.Errorf("%d devices, want %d", len(all), devices)
	}
	for device, list := range all {
		for i, m := range list {
			if m.Seq != i+1 || m.Version == 4 || i > 0 && m.Version < list[i-1].Version {
				x.t.Errorf("%s: message %d has sequence %d and version %d", device, i+1, m.Seq, m.Version)
				break
			}
		}
	}
}
