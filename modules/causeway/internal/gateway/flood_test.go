package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// twoListeners: one whose devices never stop, and one with a quiet device.
const twoListeners = `{"schemaVersion":"1.0","listeners":{
	"flood":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"},"options":{"ack":"OK"}},
	"drops":{"bind":"udp://127.0.0.1:0","codec":"raw","options":{"ack":"OK"},"limits":{"queueBytes":4096}},
	"quiet":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"},"options":{"ack":"OK"}}}}`

// flood opens connections that write without end, and reads what they are answered.
// It ends with the returned function, by when the gateway may have ended.
func flood(t *testing.T, g *Gateway, links int) (stop func()) {
	t.Helper()
	var done sync.WaitGroup
	conns := make([]net.Conn, links)
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for i := range conns {
		conns[i] = dial(t, g, "flood")
		done.Go(func() {
			for {
				if _, err := conns[i].Write(line); err != nil {
					return
				}
			}
		})
		done.Go(func() {
			for scan := bufio.NewScanner(conns[i]); scan.Scan(); { //nolint:revive // read on
			}
		})
	}
	return func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
		done.Wait()
	}
}

func TestAFloodOnOneListenerLeavesRoomForTheOthers(t *testing.T) {
	env := environment(t)
	env.HubQueueBytes = 256 << 10
	// A file where the spool's folder would be: there is no disk, and no hub.
	if err := os.WriteFile(filepath.Join(env.DataDir, spoolFolder), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, env)
	defer run(t, g)()
	g.applyDesired(json.RawMessage(twoListeners), 1)
	defer flood(t, g, 4)()
	eventually(t, "the flood has filled its share", func() bool {
		return g.running()["flood"].profile.Uplink.(*share).waiting() == 4
	})
	before := g.uplink.Stats()
	if before.Bytes > 200<<10 {
		t.Errorf("the flood holds %d bytes of %d", before.Bytes, env.HubQueueBytes)
	}
	if _, err := fmt.Fprintln(dial(t, g, "quiet"), "hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message of the quiet device is taken", func() bool {
		return g.uplink.Stats().Messages == before.Messages+1
	})
}

func TestAFloodOnOneListenerDoesNotKeepOthersFromTheDisk(t *testing.T) {
	env := environment(t)
	env.HubQueueBytes = 256 << 10
	g := newGateway(t, env)
	defer run(t, g)()
	g.applyDesired(json.RawMessage(twoListeners), 1)
	defer flood(t, g, 4)()
	conn := dial(t, g, "quiet")
	_ = conn.SetDeadline(time.Now().Add(patience))
	answers := bufio.NewScanner(conn)
	for i := range 20 {
		if _, err := fmt.Fprintln(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() || answers.Text() != "OK" {
			t.Fatalf("message %d was answered with %q, %v", i+1, answers.Text(), answers.Err())
		}
	}
}

func TestDatagramsBeyondTheListenersShareAreDroppedAndCounted(t *testing.T) {
	env := environment(t)
	if err := os.WriteFile(filepath.Join(env.DataDir, spoolFolder), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, env)
	defer run(t, g)()
	g.applyDesired(json.RawMessage(twoListeners), 1)
	conn := dial(t, g, "drops")
	eventually(t, "a datagram is dropped", func() bool {
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		return metric(t, g, "causeway_datagrams_dropped_total", `listener="drops"`, `reason="listener-full"`) > 0
	})
	if n := g.uplink.Stats().Messages; n != 3 { // the third reaches the bound
		t.Errorf("%d datagrams were taken", n)
	}
}
