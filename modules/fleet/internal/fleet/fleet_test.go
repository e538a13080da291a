package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/fleet/internal/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// gateway takes lines and documents, and keeps them as messages a hub would have.
type gateway struct {
	lines   net.Listener
	meters  net.PacketConn
	running sync.WaitGroup
	lose    func(n int) bool // which messages are acknowledged and thrown away

	mu       sync.Mutex
	taken    int
	messages []json.RawMessage
}

func startGateway(t *testing.T, lose func(int) bool) *gateway {
	t.Helper()
	var config net.ListenConfig
	g := &gateway{lose: lose}
	var err error
	if g.lines, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if g.meters, err = config.ListenPacket(t.Context(), "udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	g.running.Go(g.serveLines)
	g.running.Go(g.serveMeters)
	t.Cleanup(func() {
		_ = g.lines.Close()
		_ = g.meters.Close()
		g.running.Wait()
	})
	return g
}

func (g *gateway) take(device string, body any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken++
	if g.lose(g.taken) {
		return
	}
	b, err := json.Marshal(map[string]any{
		"seq": len(g.messages) + 1, "output": "telemetry", "properties": map[string]string{"deviceId": device}, "body": body,
	})
	if err == nil {
		g.messages = append(g.messages, b)
	}
}

func (g *gateway) serveLines() {
	for {
		conn, err := g.lines.Accept()
		if err != nil {
			return
		}
		g.running.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			for r := bufio.NewReader(conn); ; {
				text, err := r.ReadString('\n')
				if err != nil {
					return
				}
				device, _, _ := strings.Cut(text, ",")
				g.take(device, strings.Split(text, ","))
				_, _ = conn.Write([]byte("OK\n"))
			}
		})
	}
}

func (g *gateway) serveMeters() {
	b := make([]byte, 2048)
	for {
		n, from, err := g.meters.ReadFrom(b)
		if err != nil {
			return
		}
		var body struct{ Serial string }
		if json.Unmarshal(b[:n], &body) == nil {
			g.take(body.Serial, json.RawMessage(bytes.Clone(b[:n])))
			_, _ = g.meters.WriteTo([]byte("ack"), from)
		}
	}
}

func parse(t *testing.T, env map[string]string, arguments ...string) (*Options, error) {
	t.Helper()
	set := flag.NewFlagSet("fleet", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return ParseOptions(arguments, func(name string) string { return env[name] }, set)
}

func TestRunAndCheck(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(int) bool
		want bool
	}{
		"a gateway that keeps its word":    {func(int) bool { return false }, true},
		"a gateway that loses one message": {func(n int) bool { return n == 17 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, c.lose)
			o, err := parse(t, nil, "-trackers=0", "-udp-trackers=0", "-meters=2", "-lines=2", "-count=20", "-rate=0",
				"-meters-ack=ack", "-lines-addr="+g.lines.Addr().String(), "-meters-addr="+g.meters.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			r := Run(t.Context(), o, "1.2.3", &out)
			Summarize(&out, r)
			if !strings.Contains(out.String(), "4 devices: sent=80 acked=80") || r.Version != "1.2.3" {
				t.Errorf("summary:\n%s", &out)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			b, err := json.Marshal(g.messages)
			if err != nil {
				t.Fatal(err)
			}
			messages, err := check.ReadMessages(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			result := check.Compare(r, messages, false)
			if result.OK() != c.want {
				var table bytes.Buffer
				_ = result.Write(&table)
				t.Errorf("verdict %v, want %v\n%s", result.OK(), c.want, &table)
			}
		})
	}
}

func TestRunEndsWithTheContextAndSettles(t *testing.T) {
	g := startGateway(t, func(int) bool { return false })
	o, err := parse(t, nil, "-trackers=0", "-udp-trackers=0", "-meters=0", "-lines=3", "-interval=1ms",
		"-lines-addr="+g.lines.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := Run(ctx, o, "", io.Discard)
	for _, d := range r.Devices {
		if d.Acknowledged.Count() != d.Sent {
			t.Errorf("%s: %d of %d acknowledged after settling", d.Device, d.Acknowledged.Count(), d.Sent)
		}
	}
}

func TestRunGivesUpAfterSettle(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	o, err := parse(t, nil, "-trackers=0", "-udp-trackers=0", "-meters=0", "-lines=1", "-rate=0", "-count=3",
		"-duration=50ms", "-settle=20ms", "-lines-addr="+silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := Run(t.Context(), o, "", io.Discard)
	Summarize(&out, r)
	if d := r.Devices[0]; d.Sent != 3 || d.Acknowledged != nil || !strings.Contains(out.String(), "3 of 3 messages are not") {
		t.Errorf("%+v\n%s", d, &out)
	}
}

func TestStatusLine(t *testing.T) {
	o, err := parse(t, nil, "-trackers=1", "-udp-trackers=1", "-meters=1", "-lines=1")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	status(&out, time.Unix(0, 0), o.devices(nil))
	if want := "00:00:00 up=0/4 sent=0 acked=0 resent=0 commands=0 errors=0\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestDeviceIDsAreUnique(t *testing.T) {
	o, err := parse(t, nil, "-trackers=50", "-udp-trackers=50", "-meters=50", "-lines=50", "-offset=7")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range o.devices(nil) {
		seen[d.Account().Device] = true
	}
	if len(seen) != 200 || !seen["meter-8"] || !seen["line-57"] {
		t.Errorf("%d ids", len(seen))
	}
}

func TestOptions(t *testing.T) {
	o, err := parse(t, map[string]string{"FLEET_UDP_TRACKERS": "7", "FLEET_TRACKERS": "8", "FLEET_SILENT": "true"}, "-trackers", "9")
	if err != nil || o.UDPTrackers != 7 || o.Trackers != 9 || !o.Silent || o.TCP != "causeway:5027" {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := parse(t, nil, "-help"); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
	for want, arguments := range map[string][]string{
		"trackers -1":          {"-trackers=-1"},
		"records 256":          {"-records=256"},
		`codec "9"`:            {"-codec=9"},
		"rate -1":              {"-rate=-1"},
		"settle":               {"-settle=-1s"},
		"ack-timeout":          {"-ack-timeout=0"},
		"sources":              {"-sources=localhost"},
		`misbehave "rude"`:     {"-misbehave=rude"},
		`misbehave "idle=0"`:   {"-misbehave=idle=0"},
		`argument "start"`:     {"start"},
		"first 5000000000":     {"-first=5000000000"},
		"not defined: -nobody": {"-nobody"},
	} {
		if _, err := parse(t, nil, arguments...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", arguments, err, want)
		}
	}
	if _, err := parse(t, map[string]string{"FLEET_RATE": "fast"}); err == nil || !strings.Contains(err.Error(), "FLEET_RATE") {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestTrackersThroughTheWholeRun(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { countRecords(conn) })
		}
	})
	defer running.Wait()
	defer listener.Close()
	o, err := parse(t, nil, "-trackers=4", "-udp-trackers=0", "-meters=0", "-lines=0", "-rate=0", "-count=100",
		"-misbehave=half=2,garbage,oversized,idle=2,slow-loris", "-tcp="+listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := Run(t.Context(), o, "", io.Discard)
	for _, d := range r.Devices {
		if d.Acknowledged.Count() != 100 {
			t.Errorf("%+v", d)
		}
	}
	if len(r.Misbehaviour) != 5 {
		t.Errorf("misbehaviour %+v", r.Misbehaviour)
	}
}

// countRecords acknowledges packets; it closes on what is none.
func countRecords(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	head := make([]byte, 17)
	if _, err := io.ReadFull(conn, head); err != nil || head[0] != 0 || head[1] != 15 {
		return
	}
	_, _ = conn.Write([]byte{1})
	for {
		if _, err := io.ReadFull(conn, head[:8]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(head[4:])
		if size > 1<<16 {
			return
		}
		data := make([]byte, size+4)
		if _, err := io.ReadFull(conn, data); err != nil {
			return
		}
		_, _ = conn.Write([]byte{0, 0, 0, data[1]})
	}
}
