package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func TestTheLogWarnsOfAMessageThatWaitsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, environment(t))
		defer g.observers.close()
		log := &lines{}
		g.log = zerolog.New(log)
		g.spooling.configure(config.Spool{Full: "block", Durability: "hub", AlarmSeconds: 120})
		err := g.uplink.TrySend([]message.Message{{Device: "d", Body: []byte("x")}}, resultReceipt(make(chan error, 1)))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(done)
			g.spooling.watch(ctx)
		}()
		const alarm = "waits too long"
		time.Sleep(2*time.Minute + alarmEvery/2)
		if n := log.count(alarm); n != 0 {
			t.Errorf("%d warnings before the limit", n)
		}
		time.Sleep(2 * alarmEvery)
		if n := log.count(alarm); n != 2 {
			t.Errorf("%d warnings, want one for each look: %s", n, log.text.String())
		}
		if age := g.describe()["oldestUnsentSeconds"]; age != 120 {
			t.Errorf("%v seconds are reported", age)
		}
		g.spooling.configure(config.Spool{Full: "block", Durability: "hub"})
		time.Sleep(time.Hour)
		if n := log.count(alarm); n != 2 {
			t.Error("it warns although it shall not")
		}
		cancel()
		<-done
	})
}

// The smallest spool, a hub that is away, and a device that does not stop.
func TestAFullSpoolIsShownAndLetsDevicesWait(t *testing.T) {
	env := environment(t)
	env.HubQueueBytes = 256 << 10
	g := newGateway(t, env)
	stop := run(t, g)
	defer stop()
	g.applyDesired(json.RawMessage(strings.Replace(twoListeners, `"listeners"`, `"spool":{"bytes":1048576},"listeners"`, 1)), 1)
	defer flood(t, g, 4)()
	eventually(t, "the spool is full", func() bool { return metric(t, g, "causeway_spool_full") == 1 })
	for _, report := range []any{g.describe(), g.Status()} {
		b, err := json.Marshal(report)
		if err != nil || !strings.Contains(string(b), `"spool":{"state":"full"`) || len(b) > 4096 {
			t.Errorf("reported in %d bytes: %s, %v", len(b), b, err)
		}
	}
	if metric(t, g, "causeway_spool_failed") != 0 || metric(t, g, "causeway_spool_active") != 1 ||
		metric(t, g, "causeway_spool_dropped_total") != 0 {
		t.Errorf("the spool is told to be %+v", g.spooling.state())
	}
	conn := dial(t, g, "quiet")
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if text, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
		t.Errorf("there is no safe place, but the device hears %q", text)
	}
	// With more room it is acknowledged after all.
	g.applyDesired(json.RawMessage(strings.Replace(twoListeners, `"listeners"`, `"spool":{"bytes":1073741824},"listeners"`, 1)), 2)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if text, err := bufio.NewReader(conn).ReadString('\n'); err != nil || text != "OK\n" {
		t.Errorf("with more room the device hears %q, %v", text, err)
	}
}
