package load_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/bench/check"
	"github.com/causeway-iot/causeway/tests/bench/load"
	"github.com/causeway-iot/causeway/tests/bench/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve listens and hands every connection to a function until the test ends.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	return l.Addr().String()
}

// counter counts lines of all connections.
type counter struct {
	mu      sync.Mutex
	tally   *check.Tally
	sources map[string]int
}

func (c *counter) handle(conn net.Conn) {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	lines := bufio.NewScanner(conn)
	c.mu.Lock()
	c.sources[host]++
	c.mu.Unlock()
	for lines.Scan() {
		m, ok := payload.Parse(lines.Bytes(), nil)
		c.mu.Lock()
		if !ok {
			c.tally.Foreign()
		} else {
			c.tally.Add(m.Device, m.Number, 0)
		}
		c.mu.Unlock()
	}
}

func (c *counter) counts() check.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally.Counts()
}

func newCounter() *counter { return &counter{tally: check.NewTally(), sources: map[string]int{}} }

// within polls until a condition holds.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatal("not in time: ", what)
		case <-tick.C:
		}
	}
}

func dial(t *testing.T, o load.Options) *load.Load {
	t.Helper()
	l, err := load.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestAllThatWasSentArrivesInOrder(t *testing.T) {
	c := newCounter()
	addresses := []string{serve(t, c.handle), serve(t, c.handle)}
	l := dial(t, load.Options{Kind: payload.Lines, Network: "tcp", Addresses: addresses, Connections: 6, Devices: 20})
	ctx, stop := context.WithCancel(t.Context())
	l.Allow(5000)
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	within(t, "what is allowed has arrived", func() bool { return c.counts().Distinct >= 4998 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	within(t, "the rest has arrived", func() bool { return int64(c.counts().Distinct) == l.Sent() })
	if got := c.counts(); got.Duplicates+got.Reordered+got.Foreign != 0 {
		t.Errorf("%+v", got)
	}
	if l.Sent() != 4998 {
		t.Errorf("%d sent, a sixth of 5000 is allowed on each of six connections", l.Sent())
	}
}

func TestAPacedLoadKeepsItsRate(t *testing.T) {
	c := newCounter()
	l := dial(t, load.Options{Kind: payload.Lines, Network: "tcp", Addresses: []string{serve(t, c.handle)}, Connections: 3})
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	if err := l.Pace(ctx, 4000); err != nil {
		t.Fatal(err)
	}
	// A machine that pauses sends less, but nothing lets it send more.
	if n := l.Sent(); n < 200 || n > 2100 {
		t.Errorf("%d messages in half a second at 4,000 a second", n)
	}
}

func TestManyConnectionsComeFromSeveralAddresses(t *testing.T) {
	c := newCounter()
	const many = 1100
	l := dial(t, load.Options{Kind: payload.Lines, Network: "tcp", Addresses: []string{serve(t, c.handle)}, Connections: many})
	if err := l.Once(); err != nil {
		t.Fatal(err)
	}
	within(t, "all have said who they are", func() bool { return c.counts().Distinct == many })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources["127.0.0.2"] != 1000 || c.sources["127.0.0.3"] != many-1000 {
		t.Errorf("%v", c.sources)
	}
}

// tracker answers a tracker: the login, and each packet with a number of records.
func tracker(login byte, records uint32) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		head := make([]byte, 17)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		_, _ = c.Write([]byte{login})
		for {
			frame := make([]byte, 8)
			if _, err := io.ReadFull(r, frame); err != nil || !bytes.Equal(frame[:4], make([]byte, 4)) {
				return
			}
			if _, err := r.Discard(int(binary.BigEndian.Uint32(frame[4:])) + 4); err != nil {
				return
			}
			_, _ = c.Write(binary.BigEndian.AppendUint32(nil, records))
		}
	}
}

func TestTrackersWaitForTheirAcknowledgement(t *testing.T) {
	o := load.Options{
		Kind: payload.Teltonika, Network: "tcp", Addresses: []string{serve(t, tracker(1, 16))}, Connections: 2,
	}
	l := dial(t, o)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	within(t, "packets leave", func() bool { return l.Sent() >= 320 })
	stop()
	if err := <-done; err != nil || l.Sent()%16 != 0 {
		t.Errorf("%d records, %v", l.Sent(), err)
	}
	if err := l.Pace(t.Context(), 1); err == nil {
		t.Error("trackers were paced")
	}
	o.Addresses = []string{serve(t, tracker(1, 15))}
	if err := dial(t, o).Run(t.Context()); err == nil {
		t.Error("fifteen records of sixteen were taken for an acknowledgement")
	}
	o.Addresses = []string{serve(t, tracker(0, 16))}
	if _, err := load.Dial(t.Context(), o); err == nil {
		t.Error("a refused login was taken for an accepted one")
	}
}

func TestALoadThatCannotBeIsRefused(t *testing.T) {
	for name, o := range map[string]load.Options{
		"no connections": {Addresses: []string{"127.0.0.1:1"}},
		"no address":     {Connections: 1},
		"few devices":    {Connections: 2, Devices: 1, Addresses: []string{"127.0.0.1:1"}},
	} {
		o.Kind, o.Network = payload.Lines, "tcp"
		if _, err := load.Dial(t.Context(), o); err == nil {
			t.Error(name, "was taken")
		}
	}
}
