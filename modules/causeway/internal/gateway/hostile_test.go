package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter/wasmtest"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// hostileScript does the harm that a frame names, and is fine otherwise.
const hostileScript = `
function deeper() { deeper(); }
const harm = {
  loop() { for (;;); },
  recursion() { deeper(); },
  memory() { const kept = []; for (;;) kept.push(new Uint8Array(1000000)); },
  output() { return { messages: new Array(100000).fill({ body: {} }) }; },
};
module.exports = {
  receive(frame) {
    const word = toText(frame, "ascii");
    return harm[word] ? harm[word]() : { reply: "fine" };
  },
};`

// healthyLayout is what the listener beside it runs.
const healthyLayout = `
layout: 1
messages:
  line:
    fields: [{name: v, type: text, size: rest}]
    message: {device: v}
    ack: {body: [{text: OK}]}
`

// hostileModule says version in codec_abi; it traps for a frame that begins with t, never
// returns for one with l, and is fine otherwise.
func hostileModule(version int) []byte {
	const fine, input = 64, 32 << 10
	const reply = 6 // the tag of docs/codecs/wasm-abi.md
	on := func(letter byte, harm ...byte) []byte {
		return wasmtest.Code(0x20, 2, 0x2d, 0, 0, wasmtest.Const(int(letter)), 0x46, 0x04, 0x40, harm, 0x0b)
	}
	m := &wasmtest.Module{}
	m.Memory(1, 0)
	m.Export("memory", 2, 0)
	i32 := []byte{wasmtest.I32}
	m.Func("codec_abi", nil, i32, 0, wasmtest.Const(version)...)
	m.Func("codec_alloc", i32, i32, 0, wasmtest.Const(input)...)
	m.Func("codec_receive", []byte{wasmtest.I32, wasmtest.I64, wasmtest.I32, wasmtest.I32}, i32, 0,
		wasmtest.Code(on('t', 0x00), on('l', 0x03, 0x40, 0x0c, 0, 0x0b), wasmtest.Const(fine))...)
	records := append(binary.LittleEndian.AppendUint32(nil, reply|4<<8), "fine"...)
	m.Data(fine, append(binary.LittleEndian.AppendUint32(nil, uint32(len(records))), records...))
	return m.Bytes()
}

// process is a codec in another process: slow for the frame "slow", and gone after "vanish".
type process struct {
	vanish  context.CancelFunc
	release chan struct{} // closed at the end of the test
}

func (p *process) Receive(f codec.Frame, out *codec.Outcome) error {
	switch string(f.Bytes) {
	case "vanish":
		p.vanish()
		<-p.release
	case "slow":
		<-p.release
	}
	out.Reply = []byte("fine")
	return nil
}

// serveProcess serves it on a socket, anew whenever it is gone, until the test ends.
func serveProcess(tb testing.TB, socket string) {
	tb.Helper()
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			l, err := net.Listen("unix", socket)
			if err != nil {
				tb.Error(err)
				return
			}
			life, vanish := context.WithCancel(ctx)
			p := &process{vanish: vanish, release: release}
			s := kit.Server{Factory: func(json.RawMessage) (codec.Codec, error) { return codec.Func(p.Receive), nil }}
			// The socket's name is gone with the listener. Stop waits for handlers, so it is
			// the serving that ends here, and the handlers at the end of the test.
			ended := make(chan error, 1)
			done.Go(func() { ended <- s.Serve(life, l) })
			<-life.Done()
			_ = l.Close()
		}
	})
	tb.Cleanup(func() {
		close(release)
		cancel()
		done.Wait()
	})
}

// hostileGateway runs a gateway with a listener for each hostile kind and a healthy one.
func hostileGateway(tb testing.TB) *Gateway {
	tb.Helper()
	dir := tb.TempDir()
	for name, program := range map[string]string{
		"hostile.js": hostileScript, "hostile.wasm": string(hostileModule(1)), "abi.wasm": string(hostileModule(9)),
		"healthy.yaml": healthyLayout,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(program), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "process.sock")
	serveProcess(tb, socket)
	g := newGateway(tb, environment(tb))
	tb.Cleanup(run(tb, g))
	listener := func(codec string) string {
		return fmt.Sprintf(`%q:{"bind":"tcp://127.0.0.1:0","codec":%q,"frame":{"type":"line"}}`, codec, codec)
	}
	document := func(version int, more string) {
		g.applyDesired(json.RawMessage(fmt.Sprintf(`{"schemaVersion":"1.0","$version":%d,"codecs":{
			"healthy":{"kind":"layout","source":"file://%[2]s/healthy.yaml"},
			"js":{"kind":"js","source":"file://%[2]s/hostile.js"},
			"wasm":{"kind":"wasm","source":"file://%[2]s/hostile.wasm"},
			"rpc":{"kind":"rpc","settings":{"endpoints":["unix:%[3]s"],"deadlineMilliseconds":500,"healthMilliseconds":50}}%[4]s},
			"listeners":{%[5]s,%[6]s,%[7]s,%[8]s}}`, version, dir, socket, more,
			listener("healthy"), listener("js"), listener("wasm"), listener("rpc"))), int64(version))
	}
	document(1, "")
	if s := status(g); s.Code != 200 {
		tb.Fatalf("status %+v", s)
	}
	document(2, `,"abi":{"kind":"wasm","source":"file://`+dir+`/abi.wasm"}`)
	if s := status(g); s.Code != 400 || !strings.Contains(s.Description, "/codecs/abi/source") || !strings.Contains(s.Description, "version 9") {
		tb.Fatalf("a module of another ABI: status %+v", s)
	}
	return g
}

// harms are what is done to the gateway, and the reason that the dead letter has to give.
func harms() []struct{ listener, word, reason string } {
	return []struct{ listener, word, reason string }{
		{"js", "loop", "used more than 4000000 steps"},
		{"js", "recursion", "more than 400 deep"},
		{"js", "memory", "used strings, arrays and buffers of more than"},
		{"js", "output", "messages"},
		{"wasm", "trap", "trap: unreachable"},
		{"wasm", "loop", "instructions of fuel"},
		{"rpc", "slow", "no answer within 500ms"},
		{"rpc", "vanish", "rpc"},
	}
}

// attack sends a word and waits for the end of the link.
func attack(conn net.Conn, word string) error {
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, word); err != nil {
		return err
	}
	if b, err := io.ReadAll(conn); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s was answered with %q, %w", word, b, err)
	}
	return nil
}

func TestAHostileCodecCostsItsOwnLinkAndLeavesALetterWithTheReason(t *testing.T) {
	g := hostileGateway(t)
	quit, healthy := make(chan struct{}), dial(t, g, "healthy")
	var served sync.WaitGroup
	defer served.Wait()
	defer close(quit)
	served.Go(func() { // every message is acknowledged, whatever goes on beside it
		answers := bufio.NewScanner(healthy)
		for n := 1; ; n++ {
			select {
			case <-quit:
				return
			default:
			}
			_ = healthy.SetDeadline(time.Now().Add(patience))
			if _, err := fmt.Fprintf(healthy, "device-%d\n", n%10); err != nil {
				t.Error(err)
				return
			}
			if !answers.Scan() || answers.Text() != "OK" {
				t.Errorf("message %d of the healthy listener: %q, %v", n, answers.Text(), answers.Err())
				return
			}
		}
	})
	neighbours := map[string]net.Conn{"js": dial(t, g, "js"), "wasm": dial(t, g, "wasm")}
	for _, h := range harms() {
		t.Run(h.listener+" "+h.word, func(t *testing.T) {
			letters := len(listed(t, g, h.listener))
			if err := attack(dial(t, g, h.listener), h.word); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the frame is a dead letter", func() bool { return len(listed(t, g, h.listener)) == letters+1 })
			l := listed(t, g, h.listener)[letters]
			if l.Hex != fmt.Sprintf("%x", h.word) || !strings.Contains(l.Reason, h.reason) || l.Codec != h.listener {
				t.Errorf("the letter is %+v, want the reason %q", l, h.reason)
			}
			if conn := neighbours[h.listener]; conn != nil {
				if got := ask(t, conn); got != "fine" {
					t.Errorf("another link of the listener is answered with %q", got)
				}
				return
			}
			eventually(t, "the process serves new links", func() bool {
				conn := dial(t, g, h.listener)
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				if _, err := fmt.Fprintln(conn, "hello"); err != nil {
					return false
				}
				answer, err := bufio.NewReader(conn).ReadString('\n')
				return err == nil && answer == "fine\n"
			})
		})
	}
}
